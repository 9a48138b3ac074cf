"""Synthesizer components with random weights, built from a diffusers folder that contains only configs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import torch
from benchmarks.random_weights.random_module import random_module
from torch import Tensor, nn

from nextgpt.model.summary import build_meta_component
from nextgpt.model.synthesis import LatentDiffusion
from nextgpt.model.synthesis.autoencoders import LatentCodec, get_autoencoder_adapter
from nextgpt.model.synthesis.components import SynthesizerComponents
from nextgpt.model.synthesis.spec import denoiser_name, read_spec

Output = TypeVar("Output")


class RandomComponents(SynthesizerComponents):
    """Components that the caller inserts one at a time; the small vocoder creates itself."""

    def build_meta(self, name: str) -> nn.Module:
        """Build a component from its config on the meta device."""
        folder_name = denoiser_name(self.folder, self.index) if name == "denoiser" else name
        return build_meta_component(self.folder, folder_name, self.index[folder_name])

    def run_with(self, name: str, component: Any, work: Callable[[], Output]) -> Output:
        """Insert a component and call ``work``."""
        if name == "vae":
            adapter = get_autoencoder_adapter(self.index["vae"], where=str(self.folder))
            self.__dict__["autoencoder"] = LatentCodec(component, adapter)
        else:
            self.__dict__[name] = component
        return work()

    def constant(self, component: str, key: str) -> Tensor:
        """Return zeros of the constant's shape."""
        return torch.zeros_like(self.build_meta(component).state_dict()[key], device=self.device)

    def clear(self) -> None:
        """Remove the inserted components."""
        for name in ("denoiser", "autoencoder", "vocoder"):
            self.__dict__.pop(name, None)

    def _read(self, name: str, dtype: torch.dtype) -> Any:
        return random_module(lambda: self.build_meta(name), dtype, str(self.device))


def random_synthesizer(folder: Path, modality: str, *, dtype: torch.dtype, device: str) -> LatentDiffusion:
    """Create a synthesizer in real shapes. Raises :class:`~nextgpt.errors.ModelError` if a config is missing."""
    spec = read_spec(folder)
    settings = spec.settings
    components = RandomComponents(
        folder,
        spec.index,
        scheduler_name=settings.scheduler,
        flow_shift=settings.flow_shift,
        dtype=dtype,
        device=device,
    )
    return LatentDiffusion(modality, spec, components)
