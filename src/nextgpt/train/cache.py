"""The feature cache: what frozen parts make of a training's media and captions, computed once.

::

    manifest.json                what it was made of: hashes of sources, encoder and text encoders, dtype, and the plan
    features-00000.safetensors   vectors of the media that are given, one after another, with offsets
    targets-image-00000.safetensors   conditions of the captions of what is made

A shard is there whole or not at all, so a cache that broke off goes on where it stopped; several processes take every
n-th shard each. A cache whose hashes differ from what the recipe would compute now is refused.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
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

from nextgpt.data.record import Dialogue, MediaFile
from nextgpt.errors import ConfigError, MediaError, ModelError
from nextgpt.message import Medium
from nextgpt.model.encoding.base import Features
from nextgpt.model.folder import locate
from nextgpt.model.nextgpt import NextGPT
from nextgpt.model.parts import find_folder
from nextgpt.train.align_corpora import begin, conditioners_of, sources_of
from nextgpt.train.corpora import Known, Source
from nextgpt.train.recipe import CorporaRecipe
from nextgpt.train.stage import STAGES

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

    @classmethod
    def of(cls, sources: Sequence[Source], *, has_targets: bool) -> Plan:
        """All given media of the sources, and all captions of what is made, each once."""
        media: dict[str, MediaFile] = {}
        captions: dict[str, dict[str, None]] = {}
        for source in sources:
            for index in range(len(source)):
                dialogue = source.dialogue(index)
                media |= {medium.key: medium for medium in dialogue.given}
                for medium in dialogue.made if has_targets else ():
                    captions.setdefault(medium.modality, {})[medium.caption] = None
        return cls(tuple(media.values()), {modality: tuple(found) for modality, found in captions.items()})

    def parts(self) -> Iterator[tuple[str, list[str]]]:
        """Names of the kinds of shards with the keys that they hold, in order."""
        yield "features", [medium.key for medium in self.media]
        for modality, captions in self.captions.items():
            yield f"targets-{modality}", list(captions)


def manifest_of(recipe: CorporaRecipe, model: NextGPT, sources: Sequence[Source]) -> dict[str, Any]:
    """What a cache of this recipe is made of."""
    home = locate(recipe.initial)
    has_targets = "conditions" in STAGES[recipe.stage].losses
    encoders = {"encoder": _hash(find_folder(model.config.encoder, home))}
    if has_targets:
        for modality, row in model.config.synthesizers.items():
            folder = find_folder(row.source, home)
            encoders[modality] = _hash(folder / "text_encoder") + _hash(folder / "tokenizer")
    quirks = {"quirks": model.config.quirks} if model.config.quirks else {}
    return quirks | {
        "format": 1,
        "stage": recipe.stage,
        "sources": {source.name: source.corpus.fingerprint() for source in sources},
        "directions": {source.name: list(source.directions) for source in sources},
        "parts": encoders,
        "dtype": "float32",
        "shard": SHARD,
    }


def build_cache(recipe: CorporaRecipe, *, rank: int = 0, world: int = 1, tell: Tell = lambda *_: None) -> Path:
    """Compute what is missing of a recipe's cache: of ``world`` processes, the shards of this one.

    Raises:
        ConfigError: the recipe names no cache, or the folder holds one of something else.
    """
    if recipe.cache is None:
        raise ConfigError("The recipe names no cache; expected a folder. Add cache: FOLDER to it, or cache=FOLDER.")
    model, sources = begin(recipe), sources_of(recipe)
    manifest = manifest_of(recipe, model, sources)
    path = recipe.cache / MANIFEST
    if path.is_file():
        _check(path, manifest)
    recipe.cache.mkdir(parents=True, exist_ok=True)
    _write_whole(path, lambda unfinished: unfinished.write_text(json.dumps(manifest, indent=1)))
    plan = Plan.of(sources, has_targets="conditions" in STAGES[recipe.stage].losses)
    conditioners = conditioners_of(recipe, model)
    for kind, keys in plan.parts():
        shards = range(0, len(keys), SHARD)
        for number, start in enumerate(shards):
            shard = recipe.cache / f"{kind}-{number:05d}.safetensors"
            if number % world != rank or shard.is_file():
                continue
            chosen = slice(start, start + SHARD)
            if kind == "features":
                rows, broken = _encoded(plan.media[chosen], model.encoder.encode)
            else:
                modality = kind.removeprefix("targets-")
                rows, broken = _conditions(plan.captions[modality][chosen], conditioners[modality]), {}
            _save(shard, rows, keys[chosen], broken)
            tell(kind, number + 1, len(shards))
    return recipe.cache


@torch.no_grad()
def _encoded(
    media: Sequence[MediaFile], encode: Callable[[Sequence[Medium]], Sequence[Features]]
) -> tuple[list[Tensor], dict[str, str]]:
    """The features of every medium, nothing of those that are broken, and why those are."""
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
            features = iter(encode([medium for medium in found if not isinstance(medium, str)]))
            for medium, content in zip(some, found, strict=True):
                if isinstance(content, str):
                    broken[medium.key] = content
                    rows.append(torch.zeros(0))
                else:
                    rows.append(next(features).vectors.float().cpu())
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
    unfinished = path.with_name(path.name + ".unfinished")
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
        features = tuple(Features(self.shards["features"].vectors(medium.key)) for medium in dialogue.given)
        made = dialogue.made if self.plan.captions else ()
        return Known(features, tuple(self.shards[f"targets-{m.modality}"].vectors(m.caption) for m in made))


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
    plan = Plan.of(sources, has_targets="conditions" in STAGES[recipe.stage].losses)
    cache = Cache(recipe.cache, plan)
    assert cache.shards.keys() == dict(plan.parts()).keys()
    return cache
