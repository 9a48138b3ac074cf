"""The denoising loop: one generator for all models and schedulers.

The loop depends on a prediction function and a :class:`~nextgpt.model.synthesis.schedule.DenoisingSchedule` only, not
on modalities, conditions or networks. Closing the generator cancels after the current step.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor

from nextgpt.model.synthesis.base import Conditions, DenoisingStep, Latents
from nextgpt.model.synthesis.schedule import DenoisingSchedule

PredictFn = Callable[[Tensor, Tensor], Tensor]
"""Noisy latents (B, F, Z, h, w) and a timestep to the model output: noise, velocity or flow."""
ConditionalPredictFn = Callable[[Tensor, Tensor, Tensor], Tensor]
"""The same, with conditions (B, Q, C) as third argument."""


@torch.inference_mode()
def denoising_loop(
    predict: PredictFn, latents: Latents, schedule: DenoisingSchedule, generators: Sequence[torch.Generator] = ()
) -> Iterator[DenoisingStep]:
    """Denoise ``latents`` and yield the state after every step.

    Args:
        generators: One per medium, for schedulers that add noise.
    """
    total = len(schedule.timesteps)
    for index, timestep in enumerate(schedule.timesteps, start=1):
        model_input = schedule.model_input(latents, timestep)
        prediction = predict(model_input, timestep)
        predicted_original = schedule.predicted_original(model_input, prediction, timestep)
        latents = schedule.step(prediction, timestep, latents, generators)
        yield DenoisingStep(index, total, latents, predicted_original)


def with_guidance(
    predict: ConditionalPredictFn, conditions: Conditions, negative: Tensor | None, guidance_scale: float
) -> PredictFn:
    """Bind the conditions of ``predict``, with classifier-free guidance (Ho, Salimans 2022).

    Both predictions are computed in one batch.

    Args:
        negative: Negative condition (Q, C); ``None`` at scale 1.
    """
    if negative is None:
        assert guidance_scale == 1, "guidance needs a negative condition"
        return lambda latents, timestep: predict(latents, timestep, conditions)
    both = torch.cat([negative.expand_as(conditions), conditions])  # (2B, Q, C)

    def predict_guided(latents: Tensor, timestep: Tensor) -> Tensor:
        negative_prediction, prediction = predict(torch.cat([latents, latents]), timestep, both).chunk(2)
        return negative_prediction + guidance_scale * (prediction - negative_prediction)

    return predict_guided


def seeded_noise(generators: Sequence[torch.Generator], shape: tuple[int, ...], device: torch.device) -> Tensor:
    """Sample unit noise (B, *shape) from one CPU generator per medium, so that all devices agree."""
    return torch.stack([torch.randn(shape, generator=generator) for generator in generators]).to(device)
