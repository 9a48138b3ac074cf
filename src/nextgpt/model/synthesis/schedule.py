"""Adapter for diffusers' schedulers.

Schedulers have different interfaces and keep the state of their run. :class:`DenoisingSchedule` is one run with its own
scheduler and a common interface.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from nextgpt.errors import ConfigError
from nextgpt.message import MAX_INFERENCE_STEPS
from nextgpt.model.synthesis.base import Latents


@dataclass(frozen=True, eq=False)
class DenoisingSchedule:
    """Denoising run."""

    scheduler: Any
    """Has the state of the run, so it is not shared."""
    timesteps: Tensor
    """(steps,), descending."""

    @classmethod
    def create(
        cls, scheduler: Any, num_inference_steps: int, *, strength: float = 1.0, device: str | torch.device = "cpu"
    ) -> DenoisingSchedule:
        """Create a run with a copy of ``scheduler``.

        Below strength 1 the run starts at about that fraction of the noise and takes that fraction of the steps, as
        diffusers' image-to-image does; the steps are spaced to match the fraction more exactly.

        Raises:
            ConfigError: The number of steps or the strength is out of range.
        """
        # Flow-matching schedulers have no meaningful number of training steps; some have 1.
        max_steps = MAX_INFERENCE_STEPS if _is_flow_euler(scheduler) else scheduler.config.num_train_timesteps
        if not 1 <= num_inference_steps <= max_steps:
            raise ConfigError(f"num_inference_steps is {num_inference_steps}; expected 1 to {max_steps}.")
        if not 0 < strength <= 1:
            raise ConfigError(f"strength is {strength}; expected above 0, up to 1.")
        num_kept = max(1, round(num_inference_steps * strength))
        num_planned = min(max(num_kept, round(num_kept / strength)), max_steps)
        run = type(scheduler).from_config(scheduler.config)
        if _is_flow_euler(run):
            # Evenly from pure noise to 1 / num_planned at the last step, as in the stock pipelines of these models.
            run.set_timesteps(sigmas=[1 - i / num_planned for i in range(num_planned)], device=device)
        else:
            run.set_timesteps(num_planned, device=device)
        begin = (num_planned - num_kept) * run.order
        # Schedulers that count their steps need the start index; the others look the timestep up.
        set_begin_index = getattr(run, "set_begin_index", None)
        if set_begin_index is not None:
            set_begin_index(begin)
        return cls(run, run.timesteps[begin:])

    def initial_latents(self, noise: Latents, edit_latents: Latents | None = None) -> Latents:
        """Return the first latents: pure noise, or the source with the noise of the first timestep."""
        if edit_latents is None:
            return noise * getattr(self.scheduler, "init_noise_sigma", 1.0)
        first = self.timesteps[:1].expand(len(noise))
        # Flow-matching schedulers name this scale_noise, with another order of arguments.
        if self.is_flow_euler:
            return self.scheduler.scale_noise(edit_latents, first, noise)
        return self.scheduler.add_noise(edit_latents, noise, first)

    def model_input(self, latents: Latents, timestep: Tensor) -> Latents:
        """Scale latents to the range of the model's training."""
        return latents if self.is_flow_euler else self.scheduler.scale_model_input(latents, timestep)

    def step(
        self, prediction: Latents, timestep: Tensor, latents: Latents, generators: Sequence[torch.Generator]
    ) -> Latents:
        """Return the latents after one step."""
        takes_generator = "generator" in inspect.signature(self.scheduler.step).parameters
        noise = {"generator": list(generators)} if takes_generator and generators else {}
        return self.scheduler.step(prediction, timestep, latents, **noise).prev_sample

    def predicted_original(self, model_input: Latents, prediction: Latents, timestep: Tensor) -> Latents:
        """Return the clean latents that a prediction implies."""
        config = self.scheduler.config
        kind = config.get("prediction_type", "flow_prediction")
        if kind == "flow_prediction":
            return model_input - timestep / config.num_train_timesteps * prediction
        if kind == "sample":
            return prediction
        signal = self.scheduler.alphas_cumprod[timestep.long().cpu()].item()
        if kind == "v_prediction":
            return signal**0.5 * model_input - (1 - signal) ** 0.5 * prediction
        return (model_input - (1 - signal) ** 0.5 * prediction) / signal**0.5

    @property
    def is_flow_euler(self) -> bool:
        """True if the scheduler is a flow-matching Euler scheduler, which has another interface."""
        return _is_flow_euler(self.scheduler)


def _is_flow_euler(scheduler: Any) -> bool:
    return not hasattr(scheduler, "scale_model_input")
