"""Add training noise to latents and compute the denoiser's target; the counterpart of :mod:`.denoise`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from nextgpt.errors import ModelError, unknown_name_message
from nextgpt.model.synthesis.base import Latents
from nextgpt.model.synthesis.denoise import seeded_noise


@dataclass(frozen=True, eq=False)
class NoisyLatents:
    """Latents with noise of random level."""

    latents: Latents
    timesteps: Tensor
    """(B,), integers; real numbers for flow matching."""
    target: Latents
    """Target of the denoiser: noise, velocity, flow or clean latents."""


def add_noise(scheduler: Any, latents: Latents, generators: Sequence[torch.Generator]) -> NoisyLatents:
    """Add noise as in the training of the scheduler's denoiser.

    Flow matching samples logit-normal times (Stable Diffusion 3, arXiv 2403.03206), all others uniform timesteps.

    Args:
        generators: One per medium.

    Raises:
        ModelError: The scheduler's prediction type is unknown.
    """
    num_timesteps = scheduler.config.num_train_timesteps
    kind = scheduler.config.get("prediction_type", "flow_prediction")
    if kind not in (known := ("epsilon", "v_prediction", "sample", "flow_prediction")):
        raise ModelError(unknown_name_message("prediction_type", str(kind), known))
    if kind == "flow_prediction":
        times = torch.stack([torch.randn((), generator=generator) for generator in generators]).sigmoid()
        timesteps, signal, noise_level = times * num_timesteps, 1 - times, times
    else:
        timesteps = torch.stack([torch.randint(num_timesteps, (), generator=generator) for generator in generators])
        alphas = scheduler.alphas_cumprod.cpu()[timesteps]
        signal, noise_level = alphas.sqrt(), (1 - alphas).sqrt()
    noise = seeded_noise(generators, latents.shape[1:], latents.device)
    signal, noise_level = (
        value.to(latents.device, torch.float32).view(-1, *[1] * (latents.ndim - 1)) for value in (signal, noise_level)
    )
    targets = {
        "epsilon": lambda: noise,
        "v_prediction": lambda: signal * noise - noise_level * latents,
        "sample": lambda: latents,
        "flow_prediction": lambda: noise - latents,
    }
    return NoisyLatents(signal * latents + noise_level * noise, timesteps.to(latents.device), targets[kind]())
