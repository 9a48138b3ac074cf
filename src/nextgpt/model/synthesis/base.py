"""Interface of synthesizers: conditions to media.

A synthesizer does not depend on text or signal tokens. It denoises latents step by step as a generator, so the caller
controls progress, previews and cancellation: to cancel, stop iterating.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from nextgpt.message import Medium

Condition = Float[Tensor, "Q C"]
"""Condition of one medium, from the output projection instead of a text encoder."""
Conditions = Float[Tensor, "B Q C"]
"""Conditions of a batch."""
Latents = Float[Tensor, "B f Z h w"]
"""``f`` latent frames per medium (1 for images and audio) of ``Z`` channels and ``h w`` cells, about unit variance.

Adapters convert them to the format of each denoiser and autoencoder.
"""
Pixels = Float[Tensor, "B F N H W"]
"""Input and output of autoencoders: ``F`` frames of ``N`` channels per medium, in about [-1, 1]."""


@dataclass(frozen=True, eq=False)
class DenoisingStep:
    """State after one denoising step."""

    index: int
    """1 after the first step, ``total`` after the last."""
    total: int
    latents: Latents
    """Noisy latents after this step; the result after the last one."""
    predicted_original: Latents
    """Predicted clean latents, for previews."""


@runtime_checkable
class Synthesizer(Protocol):
    """Synthesizes media of one modality."""

    modality: str
    condition_shape: tuple[int, int]
    """Shape (Q, C) of its conditions."""

    @property
    def device(self) -> torch.device:
        """Device of the weights."""
        ...

    @property
    def macs_per_step(self) -> float:
        """Approximate multiply-accumulates per step and medium: the denoiser's weights times latent cells."""
        ...

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
        """Denoise one medium per condition; ``None`` means the synthesizer's own default.

        Args:
            seeds: One per condition. A medium depends on its own seed only; the rest of the batch and the number of
                threads change rounding.
            num_inference_steps: Denoiser calls. More steps give more detail.
            guidance: Classifier-free guidance scale; 1 is without guidance, at half the cost.
            edit_source: Media to edit, one per condition, instead of pure noise.
            strength: Noise level of edits, above 0 (keeps the source) to 1 (keeps nothing).
        """
        ...

    def decode(self, latents: Latents) -> list[Medium]:
        """Decode latents to media."""
        ...

    def preview(self, latents: Latents) -> list[Medium]:
        """Decode :attr:`DenoisingStep.predicted_original` to rough media at low cost."""
        ...

    def encode(self, media: Sequence[Medium]) -> Latents:
        """Encode media to latents."""
        ...
