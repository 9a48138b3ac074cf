"""Fake components that answer at once and record their arguments, for tests of the code that calls them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import PIL.Image
import torch
from jaxtyping import Float
from torch import Tensor

from nextgpt.message import Audio, Image, Medium, Video
from nextgpt.model.encoding.base import Features
from nextgpt.model.synthesis.base import Conditions, DenoisingStep, Latents


@dataclass
class FakeEncoder:
    """Return a vector per medium that depends on its content."""

    width: int = 16
    calls: list[list[str]] = field(default_factory=list)
    """Modalities of what was encoded, call by call."""
    modalities: tuple[str, ...] = ("text", "image", "audio", "video")

    def encode(self, media: Sequence[Medium]) -> list[Features]:
        """Return unit vectors that depend on the content only."""
        self.calls.append([medium.modality for medium in media])
        seeds = [int.from_bytes(medium.digest[:4], "big") for medium in media]
        return [Features(torch.randn(1, self.width, generator=torch.Generator().manual_seed(s))) for s in seeds]

    def embed_media(self, media: Sequence[Medium]) -> Float[Tensor, "B E"]:
        """Return the features of :meth:`encode`, with norm 1."""
        rows = [torch.nn.functional.normalize(features.vectors[0], dim=-1) for features in self.encode(media)]
        return torch.stack(rows) if rows else torch.zeros(0, self.width)

    def embed_text(self, texts: Sequence[str]) -> Float[Tensor, "B E"]:
        """Return zeros for every text."""
        return torch.zeros(len(texts), self.width)


@dataclass
class FakeSynthesizer:
    """Media of one value, which depends on condition, seed and source."""

    modality: str
    condition_shape: tuple[int, int] = (6, 16)
    macs_per_step: float = 1.0
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    calls: list[dict[str, object]] = field(default_factory=list)
    """Arguments of each call of :meth:`denoise`."""

    def denoise(
        self,
        conditions: Conditions,
        *,
        seeds: Sequence[int],
        num_inference_steps: int | None = None,
        guidance_scale: float | None = None,
        edit_source: Sequence[Medium] | None = None,
        strength: float | None = None,
    ) -> Iterator[DenoisingStep]:
        """Two steps, or ``num_inference_steps``."""
        self.calls.append(
            {
                "batch": len(conditions),
                "seeds": list(seeds),
                "edit_source": edit_source,
                "guidance_scale": guidance_scale,
            }
        )
        total = num_inference_steps or 2
        shift = torch.tensor(seeds, dtype=torch.float) + (100.0 if edit_source is not None else 0.0)
        values = conditions.mean(dim=(1, 2)).cpu() + shift  # (B,)
        latents = values[:, None, None, None, None]
        for index in range(1, total + 1):
            yield DenoisingStep(index, total, latents, latents)

    def decode(self, latents: Latents) -> list[Image | Audio | Video]:
        """Return a medium per value."""
        return [_medium(self.modality, value) for value in latents.flatten().tolist()]

    def preview(self, latents: Latents) -> list[Image | Audio | Video]:
        """Return the same as the result."""
        return self.decode(latents)

    def encode(self, media: Sequence[Image | Audio | Video]) -> Latents:
        """Zeros: sources are remembered in :attr:`calls`, not looked at."""
        return torch.zeros(len(media), 1, 1, 1, 1)


def _medium(modality: str, value: float) -> Image | Audio | Video:
    level = int(value * 100) % 256
    frames = np.full((2, 4, 4, 3), level, dtype=np.uint8)
    return {
        "image": lambda: Image(PIL.Image.fromarray(frames[0])),
        "audio": lambda: Audio(np.full((1, 8), level / 256, dtype=np.float32), sample_rate_hz=16_000),
        "video": lambda: Video(frames, fps=8.0),
    }[modality]()
