"""A synthesizer's parts with random weights, built from the configs of a diffusers folder that holds no weights."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import nn

from nextgpt.bench.filling import filled
from nextgpt.model.description import build_part
from nextgpt.model.synthesis import LatentDiffusion
from nextgpt.model.synthesis.autoencoders import LatentCodec, autoencoder_kind
from nextgpt.model.synthesis.denoisers import denoiser_kind
from nextgpt.model.synthesis.folder import read_index, read_json, read_settings
from nextgpt.model.synthesis.parts import Parts, denoiser_name

Made = TypeVar("Made")


class RandomParts(Parts):
    """Parts that are put in by hand, one at a time; the vocoder, which is small, makes itself."""

    def built(self, name: str) -> nn.Module:
        """A part without content, by its config."""
        on_disk = denoiser_name(self.folder, self.index) if name == "denoiser" else name
        return build_part(self.folder, on_disk, self.index[on_disk])

    def holding(self, name: str, part: Any, work: Callable[[], Made]) -> Made:
        """Do work with a part in its place."""
        if name == "vae":
            kind = autoencoder_kind(self.index["vae"], where=str(self.folder))
            self.__dict__["autoencoder"] = LatentCodec(part, kind)
        else:
            self.__dict__[name] = part
        return work()

    def drop(self) -> None:
        """Forget the parts that were put in."""
        for name in ("denoiser", "autoencoder", "vocoder"):
            self.__dict__.pop(name, None)

    def _read(self, name: str, dtype: torch.dtype) -> Any:
        return filled(lambda: self.built(name), dtype, str(self.device))


def random_synthesizer(folder: Path, modality: str, *, dtype: torch.dtype, device: str) -> LatentDiffusion:
    """A synthesizer of real shapes. Raises :class:`~nextgpt.errors.ModelError` where a config is missing."""
    index = read_index(folder)
    name = denoiser_name(folder, index)
    config = read_json(folder / name / "config.json")
    kind = denoiser_kind(index[name], config, where=str(folder / name))
    settings = read_settings(folder).over(kind.settings)
    return LatentDiffusion(
        modality,
        kind,
        RandomParts(folder, index, solver=settings.solver, dtype=dtype, device=device),
        settings,
        latent_shape=settings.latent_shape or kind.latent_shape(config),
        condition_shape=kind.condition_shape(config),
    )
