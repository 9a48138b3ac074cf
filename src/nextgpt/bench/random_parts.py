"""A synthesizer's parts with random weights, built from the configs of a diffusers folder that holds no weights."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from nextgpt.bench.filling import random_module
from nextgpt.model.summary import build_meta_component
from nextgpt.model.synthesis import LatentDiffusion
from nextgpt.model.synthesis.autoencoders import LatentCodec, get_autoencoder_adapter
from nextgpt.model.synthesis.components import SynthesizerComponents
from nextgpt.model.synthesis.spec import denoiser_name, read_spec

Made = TypeVar("Made")


class RandomComponents(SynthesizerComponents):
    """SynthesizerComponents that are put in by hand, one at a time; the vocoder, which is small, makes itself."""

    def built(self, name: str) -> nn.Module:
        """A part without content, by its config."""
        on_disk = denoiser_name(self.folder, self.index) if name == "denoiser" else name
        return build_meta_component(self.folder, on_disk, self.index[on_disk])

    def holding(self, name: str, part: Any, work: Callable[[], Made]) -> Made:
        """Do work with a part in its place."""
        if name == "vae":
            kind = get_autoencoder_adapter(self.index["vae"], where=str(self.folder))
            self.__dict__["autoencoder"] = LatentCodec(part, kind)
        else:
            self.__dict__[name] = part
        return work()

    def constant(self, part: str, key: str) -> Tensor:
        """A tensor of the right shape."""
        return torch.zeros_like(self.built(part).state_dict()[key], device=self.device)

    def drop(self) -> None:
        """Forget the parts that were put in."""
        for name in ("denoiser", "autoencoder", "vocoder"):
            self.__dict__.pop(name, None)

    def _read(self, name: str, dtype: torch.dtype) -> Any:
        return random_module(lambda: self.built(name), dtype, str(self.device))


def random_synthesizer(folder: Path, modality: str, *, dtype: torch.dtype, device: str) -> LatentDiffusion:
    """A synthesizer of real shapes. Raises :class:`~nextgpt.errors.ModelError` where a config is missing."""
    blueprint = read_spec(folder)
    settings = blueprint.settings
    parts = RandomComponents(
        folder,
        blueprint.index,
        scheduler_name=settings.scheduler,
        flow_shift=settings.flow_shift,
        dtype=dtype,
        device=device,
    )
    return LatentDiffusion(modality, blueprint, parts)
