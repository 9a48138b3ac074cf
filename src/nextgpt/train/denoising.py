"""The denoising loss: a frozen diffusion model judges conditions by how well it denoises real media under them.

Gradients pass through the denoiser to the conditions; its own weights stay as they are. The paper's latent denoising
loss, with what each denoiser was trained to predict (the published code takes noise for all, which Stable Diffusion 2
does not predict).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from nextgpt.model.synthesis.base import Conditions, Latents
from nextgpt.model.synthesis.latent_diffusion import LatentDiffusion
from nextgpt.model.synthesis.training_noise import add_noise


def denoising_loss(
    synthesizer: LatentDiffusion,
    latents: Latents,
    conditions: Conditions,
    generators: Sequence[torch.Generator],
) -> Float[Tensor, ""]:
    """Mean squared error of the denoiser's prediction under ``conditions``; ``generators`` are one for each medium."""
    noised = add_noise(synthesizer.components.scheduler, latents.float(), generators)
    predicted = synthesizer.predict(noised.latents, noised.timesteps, conditions)
    return (predicted - noised.target).square().mean()


def seeded(seed: Sequence[int]) -> torch.Generator:
    """A generator that depends on all numbers of ``seed``."""
    return torch.Generator().manual_seed(int(np.random.SeedSequence(seed).generate_state(1)[0]))
