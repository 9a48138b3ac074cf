"""The way into noise: what a denoiser was trained to see, and to say of it; the counterpart of :mod:`.denoise`."""

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
    """Latents under noise of random strength."""

    latents: Latents
    timesteps: Tensor
    """(B,), whole numbers; of flow matching, fractions of them too."""
    target: Latents
    """What the denoiser should predict: noise, velocity, flow or the clean latents, by its training."""


def add_noise(scheduler: Any, latents: Latents, generators: Sequence[torch.Generator]) -> NoisyLatents:
    """Put latents under noise as the denoiser of ``scheduler`` saw it in training.

    Flow matching draws logit-normal times (Stable Diffusion 3, arXiv 2403.03206), all others uniform timesteps.

    Args:
        generators: One for each medium.

    Raises:
        ModelError: the scheduler names a prediction that is not known.
    """
    most = scheduler.config.num_train_timesteps
    kind = scheduler.config.get("prediction_type", "flow_prediction")
    if kind not in (known := ("epsilon", "v_prediction", "sample", "flow_prediction")):
        raise ModelError(unknown_name_message("prediction_type", str(kind), known))
    if kind == "flow_prediction":
        times = torch.stack([torch.randn((), generator=generator) for generator in generators]).sigmoid()
        timesteps, signal, strength = times * most, 1 - times, times
    else:
        timesteps = torch.stack([torch.randint(most, (), generator=generator) for generator in generators])
        kept = scheduler.alphas_cumprod.cpu()[timesteps]
        signal, strength = kept.sqrt(), (1 - kept).sqrt()
    noise = seeded_noise(generators, latents.shape[1:], latents.device)
    signal, strength = (
        value.to(latents.device, torch.float32).view(-1, *[1] * (latents.ndim - 1))
        for value in (signal, strength)
    )
    targets = {
        "epsilon": lambda: noise,
        "v_prediction": lambda: signal * noise - strength * latents,
        "sample": lambda: latents,
        "flow_prediction": lambda: noise - latents,
    }
    return NoisyLatents(signal * latents + strength * noise, timesteps.to(latents.device), targets[kind]())
