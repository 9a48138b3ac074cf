"""The feature cache: outputs of the frozen components for a training's media and captions, computed once.

::

    manifest.json                     fingerprints of sources, encoder and text encoders; dtype; format
    features-00000.safetensors        feature vectors of input media, concatenated, with offsets
    targets-image-00000.safetensors   conditions of the captions of output media
    latents-image-00000.safetensors   latents of output media, if the recipe has the denoising loss

A shard is complete or missing, so an interrupted build continues; several processes build every n-th shard each. A
cache whose fingerprints differ from the recipe's is refused.
"""

from __future__ import annotations

import json
import multiprocessing
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from nextgpt.data.record import Dialogue, MediaFile
from nextgpt.errors import ConfigError, MediaError, ModelError
from nextgpt.message import Medium
from nextgpt.model.component_hash import hash_encoder, hash_folder
from nextgpt.model.encoding.base import Features
from nextgpt.model.hub import resolve_component_dir
from nextgpt.model.nextgpt import NextGPT
from nextgpt.train.alignment_recipe import AlignmentRecipe, load_sources
from nextgpt.train.dataset import DialogueSource, EncodedItem
from nextgpt.train.frozen_encoders import FrozenEncoders
from nextgpt.train.initial_model import load_initial_model
from nextgpt.train.stages import Stage

MANIFEST = "manifest.json"
ITEMS_PER_SHARD = 1024
ENCODE_BATCH_SIZE = 16
ProgressCallback = Callable[[str, int, int], None]
"""Receives the kind of shards, the number of completed ones, and their total."""


@dataclass(frozen=True)
class CacheContents:
    """The media and captions of a training, in storage order."""

    media: tuple[MediaFile, ...]
    captions: dict[str, tuple[str, ...]]
    """Captions by modality."""
    target_media: dict[str, tuple[MediaFile, ...]]
    """Output media that exist, by modality, if a loss uses their latents."""

    @classmethod
    def of(cls, sources: Sequence[DialogueSource], stage: Stage) -> CacheContents:
        """Collect all input media, captions and output media of the sources, each once."""
        media: dict[str, MediaFile] = {}
        captions: dict[str, dict[str, None]] = {}
        target_media: dict[str, dict[str, MediaFile]] = {}
        for source in sources:
            for index in range(len(source)):
                dialogue = source.dialogue(index)
                media |= {medium.key: medium for medium in dialogue.input_media}
                for medium in dialogue.output_media:
                    if stage.distances:
                        captions.setdefault(medium.modality, {})[medium.caption] = None
                    if "denoising" in stage.loss_weights and not medium.is_missing:
                        target_media.setdefault(medium.modality, {})[medium.key] = medium
        return cls(
            tuple(media.values()),
            {modality: tuple(texts) for modality, texts in captions.items()},
            {modality: tuple(by_key.values()) for modality, by_key in target_media.items()},
        )

    def shard_kinds(self) -> Iterator[tuple[str, list[str]]]:
        """Yield the kinds of shards with the keys that they hold, in order."""
        yield "features", [medium.key for medium in self.media]
        for modality, captions in self.captions.items():
            yield f"targets-{modality}", list(captions)
        for modality, media in self.target_media.items():
            yield f"latents-{modality}", [medium.key for medium in media]


def make_manifest(recipe: AlignmentRecipe, model: NextGPT, sources: Sequence[DialogueSource]) -> dict[str, Any]:
    """Return the fingerprints of a recipe's cache."""
    stage = recipe.resolved_stage
    folders = ["text_encoder", "tokenizer"] if stage.distances else []
    folders += ["vae"] if "denoising" in stage.loss_weights else []
    components = {"encoder": hash_encoder(resolve_component_dir(model.config.encoder, recipe.model_dir))}
    for modality, synthesizer in model.config.synthesizers.items() if folders else ():
        folder = resolve_component_dir(synthesizer.source, recipe.model_dir)
        components[modality] = "".join(hash_folder(folder / name) for name in folders)
    quirks = {"quirks": model.config.quirks} if model.config.quirks else {}
    return quirks | {
        "format": 3,
        "stage": recipe.stage,
        "sources": {source.name: source.fingerprint() for source in sources},
        "components": components,
        "dtype": "float32",
        "items_per_shard": ITEMS_PER_SHARD,
    }


def build_cache_in_processes(
    processes: int, recipe: AlignmentRecipe, *, on_progress: ProgressCallback, start_method: str = "spawn"
) -> Path:
    """Compute the missing shards of a recipe's cache in several processes.

    Raises:
        ModelError: A process failed; its error is on standard error.
    """
    context = multiprocessing.get_context(start_method)
    workers = [
        context.Process(target=build_cache, args=(recipe,), kwargs={"rank": rank, "world_size": processes})
        for rank in range(1, processes)
    ]
    for worker in workers:
        worker.start()
    folder = build_cache(recipe, rank=0, world_size=processes, on_progress=on_progress)
    for worker in workers:
        worker.join()
    failed = [f"{rank} with {worker.exitcode}" for rank, worker in enumerate(workers, 1) if worker.exitcode]
    if failed:
        raise ModelError(
            f"Of {processes} processes these failed: {', '.join(failed)}; expected exit status 0. See their errors "
            "above, and run the command again: it continues where it stopped."
        )
    return folder


def build_cache(
    recipe: AlignmentRecipe, *, rank: int = 0, world_size: int = 1, on_progress: ProgressCallback = lambda *_: None
) -> Path:
    """Compute the missing shards of a recipe's cache that belong to this process, on its own GPU if any.

    Raises:
        ConfigError: The recipe names no cache, or the folder holds a cache of something else.
    """
    if recipe.cache is None:
        raise ConfigError("The recipe names no cache; expected a folder. Add cache: FOLDER to it, or cache=FOLDER.")
    recipe.apply_media_limits()
    model, sources = load_initial_model(recipe, device=_device(rank)), load_sources(recipe)
    manifest = make_manifest(recipe, model, sources)
    path = recipe.cache / MANIFEST
    if path.is_file():
        _check_manifest(path, manifest)
    recipe.cache.mkdir(parents=True, exist_ok=True)
    _write_atomically(path, lambda unfinished: unfinished.write_text(json.dumps(manifest, indent=1)))
    stage = recipe.resolved_stage
    contents = CacheContents.of(sources, stage)
    encoders = FrozenEncoders.of(model, recipe.model_dir, stage)
    for kind, keys in contents.shard_kinds():
        starts = range(0, len(keys), ITEMS_PER_SHARD)
        for number, start in enumerate(starts):
            shard = recipe.cache / f"{kind}-{number:05d}.safetensors"
            if number % world_size != rank or shard.is_file():
                continue
            rows, invalid = _compute_shard(contents, kind, slice(start, start + ITEMS_PER_SHARD), encoders)
            _save_shard(shard, rows, keys[start : start + ITEMS_PER_SHARD], invalid)
            on_progress(kind, number + 1, len(starts))
    return recipe.cache


def _device(rank: int) -> str:
    return f"cuda:{rank % torch.cuda.device_count()}" if torch.cuda.is_available() else "cpu"


def _compute_shard(
    contents: CacheContents, kind: str, selection: slice, encoders: FrozenEncoders
) -> tuple[list[Tensor], dict[str, str]]:
    """Return the rows of a shard, and the reasons why some are empty."""
    prefix, _, modality = kind.partition("-")
    if prefix == "targets":
        return _encode_captions(contents.captions[modality][selection], encoders.encode_prompts[modality]), {}
    if prefix == "latents":
        return _encode_media(contents.target_media[modality][selection], encoders.encode_latents[modality])
    return _encode_media(
        contents.media[selection], lambda media: [features.vectors for features in encoders.encode(media)]
    )


@torch.no_grad()
def _encode_media(
    media: Sequence[MediaFile], encode: Callable[[Sequence[Medium]], Iterable[Tensor]]
) -> tuple[list[Tensor], dict[str, str]]:
    """Encode media; return an empty row and the reason for each invalid one."""
    rows: list[Tensor] = []
    invalid: dict[str, str] = {}

    def open_medium(medium: MediaFile) -> Medium | str:
        try:
            return medium.open()
        except MediaError as error:
            return str(error)

    with ThreadPoolExecutor(2) as pool:
        for start in range(0, len(media), ENCODE_BATCH_SIZE):
            batch = media[start : start + ENCODE_BATCH_SIZE]
            opened = list(pool.map(open_medium, batch))
            valid = [medium for medium in opened if not isinstance(medium, str)]
            encoded = iter(encode(valid) if valid else ())
            for medium, result in zip(batch, opened, strict=True):
                if isinstance(result, str):
                    invalid[medium.key] = result
                    rows.append(torch.zeros(0))
                else:
                    rows.append(next(encoded).float().cpu())
    return rows, invalid


@torch.no_grad()
def _encode_captions(captions: Sequence[str], encode: Callable[[Sequence[str]], Tensor]) -> list[Tensor]:
    return [
        condition
        for start in range(0, len(captions), ENCODE_BATCH_SIZE)
        for condition in encode(captions[start : start + ENCODE_BATCH_SIZE]).clone().float().cpu()
    ]


def _save_shard(path: Path, rows: Sequence[Tensor], keys: Sequence[str], invalid: dict[str, str]) -> None:
    lengths = torch.tensor([len(row) for row in rows])
    filled = [row for row in rows if len(row)]
    tensors = {
        "vectors": torch.cat(filled).contiguous() if filled else torch.zeros(0, 1),
        "offsets": torch.cat([torch.zeros(1, dtype=torch.long), lengths.cumsum(0)]),
    }
    metadata = {"keys": json.dumps(list(keys)), "invalid": json.dumps(invalid)}
    _write_atomically(path, lambda unfinished: save_file(tensors, unfinished, metadata=metadata))


def _write_atomically(path: Path, write: Callable[[Path], object]) -> None:
    unfinished = path.with_name(f"{path.name}.{os.getpid()}.unfinished")  # other processes may write the manifest too
    write(unfinished)
    unfinished.replace(path)


def _check_manifest(path: Path, manifest: dict[str, Any]) -> None:
    """Raise :class:`ConfigError` if the stored manifest differs from ``manifest``."""
    stored = json.loads(path.read_text())
    different = [name for name in manifest if stored.get(name) != manifest[name]]
    if different:
        raise ConfigError(
            f"{path} was built from other {', '.join(different)} than the recipe names now; expected the same, since "
            "stale features give wrong results. Delete the folder and run nextgpt data cache again."
        )


class ShardReader:
    """The shards of one kind; rows are read from disk on demand.

    Raises:
        ConfigError: A shard is missing.
    """

    def __init__(self, folder: Path, kind: str, keys: Sequence[str]) -> None:
        count = (len(keys) + ITEMS_PER_SHARD - 1) // ITEMS_PER_SHARD
        self.paths = [folder / f"{kind}-{number:05d}.safetensors" for number in range(count)]
        missing = [path.name for path in self.paths if not path.is_file()]
        if missing:
            raise ConfigError(
                f"{folder} lacks {len(missing)} of {len(self.paths)} shards (first {missing[0]}); expected all. "
                "Run nextgpt data cache again; it continues where it stopped."
            )
        self.positions = {key: divmod(index, ITEMS_PER_SHARD) for index, key in enumerate(keys)}
        self._opened: dict[int, dict[str, Any]] = {}

    def vectors(self, key: str) -> Tensor:
        """Return the vectors of a key. Raises :class:`MediaError` if its medium was invalid."""
        number, row = self.positions[key]
        shard = self._shard(number)
        start, stop = (int(offset) for offset in shard["offsets"][row : row + 2])
        if start == stop:
            raise MediaError(shard["invalid"].get(key, f"{key} was invalid when the cache was built"))
        return shard["file"].get_slice("vectors")[start:stop]

    def _shard(self, number: int) -> dict[str, Any]:
        if number not in self._opened:
            file = safe_open(self.paths[number], framework="pt")
            invalid = json.loads(file.metadata()["invalid"])
            self._opened[number] = {"file": file, "offsets": file.get_tensor("offsets"), "invalid": invalid}
        return self._opened[number]


@dataclass(frozen=True)
class FeatureCache:
    """A complete cache of a recipe."""

    folder: Path
    contents: CacheContents

    @cached_property
    def shards(self) -> dict[str, ShardReader]:
        """Return all shards by kind."""
        return {kind: ShardReader(self.folder, kind, keys) for kind, keys in self.contents.shard_kinds()}

    def lookup(self, dialogue: Dialogue) -> EncodedItem:
        """Return the encoder outputs of a dialogue. Raises :class:`MediaError` if one of its media is invalid."""
        features = tuple(Features(self.shards["features"].vectors(m.key)) for m in dialogue.input_media)
        captioned = dialogue.output_media if self.contents.captions else ()
        return EncodedItem(
            features,
            tuple(self.shards[f"targets-{m.modality}"].vectors(m.caption) for m in captioned),
            tuple(self._latents(medium) for medium in dialogue.output_media),
        )

    def _latents(self, medium: MediaFile) -> Tensor | None:
        shards = self.shards.get(f"latents-{medium.modality}")
        return None if shards is None or medium.is_missing else shards.vectors(medium.key)


def open_cache(recipe: AlignmentRecipe, model: NextGPT, sources: Sequence[DialogueSource]) -> FeatureCache:
    """Open a recipe's cache.

    Raises:
        ConfigError: It is stale or lacks shards.
        ModelError: There is none.
    """
    assert recipe.cache is not None, "called for recipes with a cache"
    path = recipe.cache / MANIFEST
    if not path.is_file():
        raise ModelError(
            f"{recipe.cache} holds no cache; expected {MANIFEST}. Run nextgpt data cache with this recipe first."
        )
    _check_manifest(path, make_manifest(recipe, model, sources))
    cache = FeatureCache(recipe.cache, CacheContents.of(sources, recipe.resolved_stage))
    assert cache.shards.keys() == dict(cache.contents.shard_kinds()).keys()
    return cache
