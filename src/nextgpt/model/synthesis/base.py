"""What a synthesizer is: the last step of the path, from conditions to media.

A synthesizer knows nothing about words or signal tokens. It is given conditions, one for each medium to make, and it
denoises latents step by step. Whoever pulls the steps owns progress, previews and cancelling: to cancel is to pull no
more.
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
"""What one medium shall be: the output projection's vectors, in place of a text encoder's."""
Conditions = Float[Tensor, "B Q C"]
"""One condition for each medium of a batch."""
Latents = Float[Tensor, "B f Z h w"]
"""``f`` latent frames a medium (1 for pictures and sounds) of ``Z`` channels and ``h w`` cells, near unit size;
of a film each stands for one frame or for several.

Adapters turn them into what each denoiser and autoencoder takes.
"""
Pixels = Float[Tensor, "B F N H W"]
"""What autoencoders read and write: ``F`` pictures of ``N`` channels a medium, in about [-1, 1]."""


@dataclass(frozen=True, eq=False)
class DenoisingStep:
    """Where denoising stands after one step."""

    index: int
    """1 after the first step, ``total`` after the last."""
    total: int
    latents: Latents
    """As noisy as the step leaves them; after the last step they are the result."""
    predicted_original: Latents
    """The step's guess of the result: what to preview."""


@runtime_checkable
class Synthesizer(Protocol):
    """Makes media of one modality."""

    modality: str
    condition_shape: tuple[int, int]
    """(Q, C) of the conditions that it takes."""

    @property
    def device(self) -> torch.device:
        """Where it computes."""
        ...

    @property
    def macs_per_step(self) -> float:
        """About how many multiplications one step takes for one medium: the denoiser's weights times latent cells."""
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
        """Denoise one medium for each condition; ``None`` means the synthesizer's own default.

        Args:
            seeds: One for each condition. A medium depends on its own seed alone, not on its neighbours in the batch,
                but for rounding, which batches and threads change.
            num_inference_steps: More steps, more detail; each costs one call of the denoiser.
            guidance: Classifier-free guidance scale; 1 follows the condition alone, and costs half.
            source: Media to start from instead of pure noise, one for each condition: editing.
            strength: How far editing goes back into noise, above 0 (keeps the source) to 1 (keeps nothing).
        """
        ...

    def decode(self, latents: Latents) -> list[Medium]:
        """Turn latents into media."""
        ...

    def preview(self, latents: Latents) -> list[Medium]:
        """Turn latents into media cheaply and roughly; give it :attr:`DenoisingStep.predicted_original`."""
        ...

    def encode(self, media: Sequence[Medium]) -> Latents:
        """Turn media into latents."""
        ...
