"""Every family of synthesizers that has an adapter, tiny, written once and opened by name."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from nextgpt.model.synthesis import Conditions, LatentDiffusion, Latents, load_synthesizer
from nextgpt.testing import synthesizers

FAMILIES: dict[str, tuple[str, Callable[[Path], Path]]] = {
    "nano image": ("image", lambda folder: synthesizers.write_tiny_nano(folder, "image")),
    "nano audio": ("audio", lambda folder: synthesizers.write_tiny_nano(folder, "audio")),
    "nano video": ("video", lambda folder: synthesizers.write_tiny_nano(folder, "video")),
    "stable diffusion": ("image", synthesizers.write_tiny_stable_diffusion),
    "audioldm": ("audio", synthesizers.write_tiny_audioldm),
    "zeroscope": ("video", synthesizers.write_tiny_zeroscope),
    "z-image": ("image", synthesizers.write_tiny_z_image),
    "ace-step": ("audio", synthesizers.write_tiny_ace_step),
    "wan": ("video", synthesizers.write_tiny_wan),
}
"""For each family its modality, and what writes a tiny folder."""


class Families:
    """Folders and synthesizers by the name of their family; ``root`` is where the folders are kept."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._opened: dict[str, LatentDiffusion] = {}

    def folder(self, family: str) -> Path:
        """Return the shared folder; do not change it."""
        folder = self.root / family
        return folder if folder.exists() else FAMILIES[family][1](folder)

    def copy(self, family: str, target: Path) -> Path:
        """Copy the folder into ``target``."""
        return Path(shutil.copytree(self.folder(family), target / "copy"))

    def open(self, family: str) -> LatentDiffusion:
        """Return the shared synthesizer."""
        if family not in self._opened:
            self._opened[family] = self.load(self.folder(family), family)
        return self._opened[family]

    def load(self, folder: Path, family: str = "nano image", **options: Any) -> LatentDiffusion:
        """Load a separate synthesizer; ``options`` are those of ``load_synthesizer``."""
        return load_synthesizer(folder, FAMILIES[family][0], **options)


def conditions_of(synthesizer: LatentDiffusion, count: int = 2, seed: int = 0) -> Conditions:
    """Random conditions that fit."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(count, *synthesizer.condition_shape, generator=generator)


def last_latents(synthesizer: LatentDiffusion, conditions: Conditions, **options: Any) -> Latents:
    """Return the latents after the last step; ``options`` are those of ``denoise``."""
    *_, last = synthesizer.denoise(conditions, **options)
    return last.latents
