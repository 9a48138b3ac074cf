"""The feature cache: what frozen parts make of a training's media and captions, computed once.

::

    manifest.json                what it was made of: hashes of sources, encoder and text encoders, dtype, and the plan
    features-00000.safetensors   vectors of the media that are given, one after another, with offsets
    targets-image-00000.safetensors   conditions of the captions of what is made
    latents-image-00000.safetensors   latents of what is made, where the recipe has the denoising loss

A shard is there whole or not at all, so a cache that broke off goes on where it stopped; several processes take every
n-th shard each. A cache whose hashes differ from what the recipe would compute now is refused.
"""

from __future__ import annotations

import json
import multiprocessing
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from hashlib import blake2b
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from nextgpt.data.corpus import is_missing
from nextgpt.data.record import Dialogue, MediaFile
from nextgpt.errors import ConfigError, MediaError, ModelError
from nextgpt.message import Medium
from nextgpt.model.encoding.base import Features
from nextgpt.model.hub import resolve_component_dir
from nextgpt.model.loading import resolve_model_dir
from nextgpt.model.nextgpt import NextGPT
from nextgpt.train.align_corpora import begin, frozen_of, sources_of
from nextgpt.train.corpora import Known, Source
from nextgpt.train.objective import Frozen
from nextgpt.train.recipe import CorporaRecipe
from nextgpt.train.stage import Stage, get_stage

MANIFEST = "manifest.json"
SHARD = 1024
"""Items of one shard."""
AT_ONCE = 16
"""Items that are decoded and encoded together."""
Tell = Callable[[str, int, int], None]
"""Told the name of what is computed, how many shards are done, and of how many."""


@dataclass(frozen=True)
class Plan:
    """What a recipe needs to know, in the order in which it is kept."""

    media: tuple[MediaFile, ...]
    captions: dict[str, tuple[str, ...]]
    """By modality."""
    made: dict[str, tuple[MediaFile, ...]]
    """What the assistant makes and is there, by modality, where a loss needs its latents."""

    @classmethod
    def of(cls, sources: Sequence[Source], stage: Stage) -> Plan:
        """All given media of the sources, all captions of what is made, and all that is made, each once."""
        media: dict[str, MediaFile] = {}
        captions: dict[str, dict[str, None]] = {}
        made: dict[str, dict[str, MediaFile]] = {}
        for source in sources:
            for index in range(len(source)):
                dialogue = source.dialogue(index)
                media |= {medium.key: medium for medium in dialogue.input_media}
                for medium in dialogue.output_media:
                    if stage.distances:
                        captions.setdefault(medium.modality, {})[medium.caption] = None
                    if "denoising" in stage.loss_weights and not is_missing(medium):
                        made.setdefault(medium.modality, {})[medium.key] = medium
        return cls(
            tuple(media.values()),
            {modality: tuple(found) for modality, found in captions.items()},
            {modality: tuple(found.values()) for modality, found in made.items()},
        )

    def parts(self) -> Iterator[tuple[str, list[str]]]:
        """Names of the kinds of shards with the keys that they hold, in order."""
        yield "features", [medium.key for medium in self.media]
        for modality, captions in self.captions.items():
            yield f"targets-{modality}", list(captions)
        for modality, media in self.made.items():
            yield f"latents-{modality}", [medium.key for medium in media]


def manifest_of(recipe: CorporaRecipe, model: NextGPT, sources: Sequence[Source]) -> dict[str, Any]:
    """What a cache of this recipe is made of."""
    home = resolve_model_dir(recipe.initial)
    stage = get_stage(recipe.stage, recipe.losses)
    parts = ["text_encoder", "tokenizer"] if stage.distances else []
    parts += ["vae"] if "denoising" in stage.loss_weights else []
    encoders = {"encoder": _hash(resolve_component_dir(model.config.encoder, home))}
    for modality, row in model.config.synthesizers.items() if parts else ():
        encoders[modality] = "".join(_hash(resolve_component_dir(row.source, home) / part) for part in parts)
    quirks = {"quirks": model.config.quirks} if model.config.quirks else {}
    return quirks | {
        "format": 2,
        "stage": recipe.stage,
        "sources": {source.name: source.corpus.fingerprint() for source in sources},
        "directions": {source.name: list(source.directions) for source in sources},
        "parts": encoders,
        "dtype": "float32",
        "shard": SHARD,
    }


def build_cache_by(processes: int, recipe: CorporaRecipe, *, tell: Tell, start_method: str = "spawn") -> Path:
    """Compute what is missing of a recipe's cache by several processes at once.

    Raises:
        ModelError: one of them failed; what it said stands on standard error.
    """
    context = multiprocessing.get_context(start_method)
    others = [
        context.Process(target=build_cache, args=(recipe,), kwargs={"rank": rank, "world": processes})
        for rank in range(1, processes)
    ]
    for process in others:
        process.start()
    folder = build_cache(recipe, rank=0, world=processes, tell=tell)
    for process in others:
        process.join()
    failed = [f"{rank} with {process.exitcode}" for rank, process in enumerate(others, 1) if process.exitcode]
    if failed:
        raise ModelError(
            f"Of {processes} processes these failed: {', '.join(failed)}; expected all to end with 0. Look above for "
            "what they said, and run it again: it goes on where it stopped."
        )
    return folder


def build_cache(
    recipe: CorporaRecipe, *, rank: int = 0, world: int = 1, tell: Tell = lambda *_: None
) -> Path:
    """Compute what is missing of a recipe's cache: of ``world`` processes, the shards of this one.

    Each process has a GPU of its own, where there are any.

    Raises:
        ConfigError: the recipe names no cache, or the folder holds one of something else.
    """
    if recipe.cache is None:
        raise ConfigError(
            "The recipe names no cache; expected a folder. Add cache: FOLDER to it, or cache=FOLDER."
        )
    model, sources = begin(recipe, device=_device(rank)), sources_of(recipe)
    manifest = manifest_of(recipe, model, sources)
    path = recipe.cache / MANIFEST
    if path.is_file():
        _check(path, manifest)
    recipe.cache.mkdir(parents=True, exist_ok=True)
    _write_whole(path, lambda unfinished: unfinished.write_text(json.dumps(manifest, indent=1)))
    plan = Plan.of(sources, get_stage(recipe.stage, recipe.losses))
    frozen = frozen_of(recipe, model)
    for kind, keys in plan.parts():
        shards = range(0, len(keys), SHARD)
        for number, start in enumerate(shards):
            shard = recipe.cache / f"{kind}-{number:05d}.safetensors"
            if number % world != rank or shard.is_file():
                continue
            rows, broken = _computed(plan, kind, slice(start, start + SHARD), frozen)
            _save(shard, rows, keys[start : start + SHARD], broken)
            tell(kind, number + 1, len(shards))
    return recipe.cache


def _device(rank: int) -> str:
    return f"cuda:{rank % torch.cuda.device_count()}" if torch.cuda.is_available() else "cpu"


def _computed(plan: Plan, kind: str, chosen: slice, frozen: Frozen) -> tuple[list[Tensor], dict[str, str]]:
    """The rows of a shard, and why some are empty."""
    what, _, modality = kind.partition("-")
    if what == "targets":
        return _conditions(plan.captions[modality][chosen], frozen.conditioners[modality]), {}
    if what == "latents":
        return _rows(plan.made[modality][chosen], frozen.to_latents[modality])
    return _rows(plan.media[chosen], lambda media: [features.vectors for features in frozen.encode(media)])


@torch.no_grad()
def _rows(
    media: Sequence[MediaFile], compute: Callable[[Sequence[Medium]], Iterable[Tensor]]
) -> tuple[list[Tensor], dict[str, str]]:
    """What is computed of every medium, nothing of those that are broken, and why those are."""
    rows: list[Tensor] = []
    broken: dict[str, str] = {}

    def opened(medium: MediaFile) -> Medium | str:
        try:
            return medium.open()
        except MediaError as error:
            return str(error)

    with ThreadPoolExecutor(2) as pool:
        for start in range(0, len(media), AT_ONCE):
            some = media[start : start + AT_ONCE]
            found = list(pool.map(opened, some))
            whole = [medium for medium in found if not isinstance(medium, str)]
            computed = iter(compute(whole) if whole else ())
            for medium, content in zip(some, found, strict=True):
                if isinstance(content, str):
                    broken[medium.key] = content
                    rows.append(torch.zeros(0))
                else:
                    rows.append(next(computed).float().cpu())
    return rows, broken


@torch.no_grad()
def _conditions(captions: Sequence[str], conditioner: Callable[[Sequence[str]], Tensor]) -> list[Tensor]:
    return [
        condition
        for start in range(0, len(captions), AT_ONCE)
        for condition in conditioner(captions[start : start + AT_ONCE]).clone().float().cpu()
    ]


def _save(path: Path, rows: Sequence[Tensor], keys: Sequence[str], broken: dict[str, str]) -> None:
    lengths = torch.tensor([len(row) for row in rows])
    whole = [row for row in rows if len(row)]
    tensors = {
        "vectors": torch.cat(whole).contiguous() if whole else torch.zeros(0, 1),
        "offsets": torch.cat([torch.zeros(1, dtype=torch.long), lengths.cumsum(0)]),
    }
    about = {"keys": json.dumps(list(keys)), "broken": json.dumps(broken)}
    _write_whole(path, lambda unfinished: save_file(tensors, unfinished, metadata=about))


def _write_whole(path: Path, write: Callable[[Path], object]) -> None:
    unfinished = path.with_name(
        f"{path.name}.{os.getpid()}.unfinished"
    )  # other processes may write the manifest too
    write(unfinished)
    unfinished.replace(path)


def _check(path: Path, manifest: dict[str, Any]) -> None:
    """Raise :class:`ConfigError` where the cache was made of anything else than ``manifest`` says."""
    found = json.loads(path.read_text())
    odd = [name for name in manifest if found.get(name) != manifest[name]]
    if odd:
        raise ConfigError(
            f"{path} is of other {', '.join(odd)} than the recipe would compute now; expected the same, since stale "
            "features teach something else. Delete the folder and run nextgpt data cache again."
        )


def _hash(folder: Path) -> str:
    """Changes with every byte of the files in a folder."""
    digest = blake2b(digest_size=16)
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            digest.update(path.relative_to(folder).as_posix().encode())
            with path.open("rb") as file:
                while block := file.read(1 << 24):
                    digest.update(block)
    return digest.hexdigest()


class Shards:
    """The shards of one kind; vectors are read from disk when they are asked for.

    Raises:
        ConfigError: one is missing.
    """

    def __init__(self, folder: Path, kind: str, keys: Sequence[str]) -> None:
        self.paths = [folder / f"{kind}-{n:05d}.safetensors" for n in range((len(keys) + SHARD - 1) // SHARD)]
        missing = [path.name for path in self.paths if not path.is_file()]
        if missing:
            raise ConfigError(
                f"{folder} lacks {len(missing)} of {len(self.paths)} shards (first {missing[0]}); expected all. "
                "Run nextgpt data cache again; it goes on where it stopped."
            )
        self.places = {key: divmod(index, SHARD) for index, key in enumerate(keys)}
        self._opened: dict[int, Any] = {}

    def vectors(self, key: str) -> Tensor:
        """What is kept under a key. Raises :class:`MediaError` where the medium was broken."""
        number, row = self.places[key]
        shard = self._shard(number)
        start, stop = (int(offset) for offset in shard["offsets"][row : row + 2])
        if start == stop:
            raise MediaError(shard["broken"].get(key, f"{key} was broken when the cache was made"))
        return shard["file"].get_slice("vectors")[start:stop]

    def _shard(self, number: int) -> dict[str, Any]:
        if number not in self._opened:
            file = safe_open(self.paths[number], framework="pt")
            broken = json.loads(file.metadata()["broken"])
            self._opened[number] = {"file": file, "offsets": file.get_tensor("offsets"), "broken": broken}
        return self._opened[number]


@dataclass(frozen=True)
class Cache:
    """A cache that fits its recipe."""

    folder: Path
    plan: Plan

    @cached_property
    def shards(self) -> dict[str, Shards]:
        """All shards, by kind."""
        return {kind: Shards(self.folder, kind, keys) for kind, keys in self.plan.parts()}

    def recall(self, dialogue: Dialogue) -> Known:
        """Features and targets of a dialogue. Raises :class:`MediaError` where one of its media is broken."""
        features = tuple(
            Features(self.shards["features"].vectors(medium.key)) for medium in dialogue.input_media
        )
        captioned = dialogue.output_media if self.plan.captions else ()
        return Known(
            features,
            tuple(self.shards[f"targets-{m.modality}"].vectors(m.caption) for m in captioned),
            tuple(self._latents(medium) for medium in dialogue.output_media),
        )

    def _latents(self, medium: MediaFile) -> Tensor | None:
        shards = self.shards.get(f"latents-{medium.modality}")
        return None if shards is None or is_missing(medium) else shards.vectors(medium.key)


def open_cache(recipe: CorporaRecipe, model: NextGPT, sources: Sequence[Source]) -> Cache:
    """Open a recipe's cache.

    Raises:
        ConfigError: it is stale or lacks shards.
        ModelError: there is none.
    """
    assert recipe.cache is not None, "asked for the cache of a recipe that names one"
    path = recipe.cache / MANIFEST
    if not path.is_file():
        raise ModelError(
            f"{recipe.cache} holds no cache; expected {MANIFEST}. Run nextgpt data cache with this recipe first."
        )
    _check(path, manifest_of(recipe, model, sources))
    plan = Plan.of(sources, get_stage(recipe.stage, recipe.losses))
    cache = Cache(recipe.cache, plan)
    assert cache.shards.keys() == dict(plan.parts()).keys()
    return cache
