"""Media that a model made itself, beside the contents that it made them of: what it must recognise as well.

An encoder that has seen true renderings alone is at a loss before what the same model draws and plays, though people
see the same thing in both. So the synthesizers make some media of their own captions, once; those in which the small
world's judge finds all that was asked for are learned from beside true renderings.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from pathlib import Path

import numpy as np
import PIL.Image
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from nextgpt.message import Audio, Image, Medium, Video
from nextgpt.miniworld.judge.media_judge import recognize_media
from nextgpt.miniworld.language import canonical_caption
from nextgpt.miniworld.language.dialogue_state import sample_spec
from nextgpt.miniworld.motions import FPS
from nextgpt.miniworld.note_samples import SAMPLE_RATE_HZ
from nextgpt.miniworld.render import render
from nextgpt.miniworld.specs import MediaSpec, SoundSpec
from nextgpt.model.synthesis import load_synthesizer
from nextgpt.model.synthesis.prompt_encoder import PromptEncoder
from nextgpt.train.recipe import OwnMediaConfig

OWN_MEDIA = "own-media"
"""The folder beside those of trainings that keeps them."""
BATCH = 50
"""Media that are made side by side."""


@dataclass(frozen=True)
class OwnMedia:
    """What a model made, by content; by default nothing."""

    share: float = 0.0
    """How often a content is one that the model made; it is then shown as made, or as it truly is, by chance."""
    media: Mapping[str, Mapping[MediaSpec, Medium]] = field(default_factory=dict)
    """Of each modality, what was made of each content."""

    def content(self, rng: np.random.Generator, modality: str, draw: Callable[[], MediaSpec]) -> MediaSpec:
        """A content of ``modality``: one of those that were made, or what ``draw`` gives."""
        made = self.media.get(modality)
        if not made or rng.random() >= self.share:
            return draw()
        contents = self._contents[modality]
        return contents[int(rng.integers(len(contents)))]

    def medium(self, rng: np.random.Generator, content: MediaSpec) -> Medium:
        """``content`` as the model made it where it did, in half of all cases; else its true rendering."""
        made = next((of[content] for of in self.media.values() if content in of), None)
        if made is not None and rng.random() < 0.5:
            return made
        return _true_sound(content) if isinstance(content, SoundSpec) else render(content)

    @cached_property
    def _contents(self) -> dict[str, tuple[MediaSpec, ...]]:
        return {modality: tuple(of) for modality, of in self.media.items()}


@lru_cache(maxsize=4096)
def _true_sound(sound: SoundSpec) -> Medium:
    """There are few different ones: each is one object, so that what is computed of it can be kept by it."""
    return render(sound)


def own_media(config: OwnMediaConfig | None, model: Path, folder: Path) -> OwnMedia:
    """What the synthesizers in the folder ``model`` make, kept in ``folder``; what lies there already is read.

    Only contents of the training split are made. What was made by other weights is made anew.

    Raises:
        ModelError: a synthesizer or its text encoder is missing.
    """
    if config is None:
        return OwnMedia()
    media = {}
    for modality, count in config.counts.items():
        file = folder / f"{modality}.safetensors"
        stamp = _stamp(model / modality, count)
        if not _is_made(file, stamp):
            file.parent.mkdir(parents=True, exist_ok=True)
            kept, arrays = _make(model / modality, modality, count)
            unfinished = file.with_suffix(".unfinished")
            save_file({"kept": kept, "media": arrays}, unfinished, metadata={"stamp": stamp})
            unfinished.replace(file)
        media[modality] = _read(file, modality)
    return OwnMedia(config.share, media)


def _stamp(folder: Path, count: int) -> str:
    """What media were made by: the denoiser's weights, and how many."""
    weights = hashlib.sha256()
    for file in sorted((folder / "transformer").glob("*.safetensors")):
        weights.update(file.read_bytes())
    return json.dumps({"count": count, "denoiser": weights.hexdigest()})


def _is_made(file: Path, stamp: str) -> bool:
    if not file.is_file():
        return False
    with safe_open(file, "pt") as made:
        return made.metadata()["stamp"] == stamp


def _drawn(modality: str, number: int) -> MediaSpec:
    """The content of a number: so it need not be written down."""
    return sample_spec(np.random.default_rng([number]), modality, "train")


@torch.inference_mode()
def _make(folder: Path, modality: str, count: int) -> tuple[Tensor, Tensor]:
    """Make ``count`` media; the numbers of those that show what they should, and what they are."""
    synthesizer, conditioner = load_synthesizer(folder, modality), PromptEncoder(folder)
    kept: list[int] = []
    arrays: list[Tensor] = []
    for first in range(0, count, BATCH):
        numbers = range(first, min(first + BATCH, count))
        contents = [_drawn(modality, number) for number in numbers]
        conditions = conditioner.encode([canonical_caption(content) for content in contents])
        *_, last = synthesizer.denoise(conditions, seeds=numbers)
        media = synthesizer.decode(last.latents)
        for number, content, seen, medium in zip(
            numbers, contents, recognize_media(media), media, strict=True
        ):
            if seen == content:
                kept.append(number)
                arrays.append(_as_array(medium))
    return torch.tensor(kept, dtype=torch.int64), torch.stack(arrays) if arrays else torch.empty(0)


def _as_array(medium: Medium) -> Tensor:
    if isinstance(medium, Image):
        return torch.from_numpy(np.asarray(medium.image).copy())
    return (
        torch.from_numpy(medium.samples).half()
        if isinstance(medium, Audio)
        else torch.from_numpy(medium.frames)
    )


def _read(file: Path, modality: str) -> dict[MediaSpec, Medium]:
    with safe_open(file, "pt") as made:
        kept, arrays = made.get_tensor("kept"), made.get_tensor("media")
    return {
        _drawn(modality, number): _as_medium(modality, array)
        for number, array in zip(kept.tolist(), arrays, strict=True)
    }


def _as_medium(modality: str, array: Tensor) -> Medium:
    if modality == "image":
        return Image(PIL.Image.fromarray(array.numpy()))
    return Audio(array.float().numpy(), SAMPLE_RATE_HZ) if modality == "audio" else Video(array.numpy(), FPS)
