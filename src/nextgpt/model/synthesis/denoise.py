"""The denoising loop: one generator for every model and every solver.

The loop knows nothing about modalities, conditions or networks; it is given a function that predicts, and a
:class:`~nextgpt.model.synthesis.schedule.DenoisingSchedule`. Whoever pulls the steps owns the rest: closing the generator, or
just pulling no more, ends the work after the step at hand.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor

from nextgpt.model.synthesis.base import Conditions, DenoisingStep, Latents
from nextgpt.model.synthesis.schedule import DenoisingSchedule

PredictFn = Callable[[Tensor, Tensor], Tensor]
"""Noisy latents (B, F, Z, h, w) and a timestep, to the model's output: noise, velocity or flow, by its training."""
ConditionalPredictFn = Callable[[Tensor, Tensor, Tensor], Tensor]
"""The same with conditions (B, Q, C) as third argument."""


@torch.inference_mode()
def denoising_loop(
    predict: PredictFn,
    latents: Latents,
    schedule: DenoisingSchedule,
    generators: Sequence[torch.Generator] = (),
) -> Iterator[DenoisingStep]:
    """Denoise ``latents`` and yield after every step.

    Args:
        generators: One for each medium, for solvers that add noise on the way.
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
    """Fix the conditions of ``predict``, with classifier-free guidance (Ho, Salimans 2022) where the scale is not 1.

    Both halves go through the model in one call.

    Args:
        negative: What the guidance leads away from, (Q, C); not needed at scale 1.
    """
    if negative is None:
        assert guidance_scale == 1, "guidance needs a negative condition"
        return lambda latents, timestep: predict(latents, timestep, conditions)
    both = torch.cat([negative.expand_as(conditions), conditions])  # (2B, Q, C)

    def predict_guided(latents: Tensor, timestep: Tensor) -> Tensor:
        away, towards = predict(torch.cat([latents, latents]), timestep, both).chunk(2)
        return away + guidance_scale * (towards - away)

    return predict_guided


def seeded_noise(
    generators: Sequence[torch.Generator], shape: tuple[int, ...], device: torch.device
) -> Tensor:
    """Draw unit noise (B, *shape), each medium's from its own generator on the CPU, so that devices agree."""
    return torch.stack([torch.randn(shape, generator=generator) for generator in generators]).to(device)
