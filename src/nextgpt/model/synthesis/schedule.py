"""The border to diffusers' schedulers: how much noise at each step, and how a prediction takes some away.

Schedulers differ in what they can do and remember the history of the run they are in. :class:`DenoisingSchedule` is one run:
it owns its scheduler, and gives all of them the same few methods.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from nextgpt.errors import ConfigError
from nextgpt.model.synthesis.base import Latents

MAX_INFERENCE_STEPS = 1000
"""More denoising steps than this are a slip."""


@dataclass(frozen=True, eq=False)
class DenoisingSchedule:
    """One run of a scheduler."""

    scheduler: Any
    """Remembers its run, so it belongs to this schedule alone."""
    timesteps: Tensor
    """(steps,), falling."""

    @classmethod
    def create(
        cls,
        scheduler: Any,
        num_inference_steps: int,
        *,
        strength: float = 1.0,
        device: str | torch.device = "cpu",
    ) -> DenoisingSchedule:
        """Plan a run on a copy of ``scheduler``.

        Below strength 1 the run begins where about that share of the noise is left, and takes that share of the
        steps, as diffusers' image-to-image does; the share is met more exactly, by spacing the steps to fit it.

        Raises:
            ConfigError: A number of steps, or a strength, out of range.
        """
        # Flow matching knows no number of training steps; some schedulers say 1, as their timesteps end at 1.
        most = MAX_INFERENCE_STEPS if _is_flow_euler(scheduler) else scheduler.config.num_train_timesteps
        if not 1 <= num_inference_steps <= most:
            raise ConfigError(
                f"{num_inference_steps} denoising steps were asked for; expected 1 to {most}. Set num_inference_steps=12, say."
            )
        if not 0 < strength <= 1:
            raise ConfigError(
                f"The strength of an edit is {strength}; expected above 0, up to 1. Set 0.6, say."
            )
        kept = max(1, round(num_inference_steps * strength))
        planned = min(max(kept, round(kept / strength)), most)
        run = type(scheduler).from_config(scheduler.config)
        if _is_flow_euler(run):
            # Evenly from noise alone to the last step's 1 / planned, as the stock pipelines of these models do.
            run.set_timesteps(sigmas=[1 - i / planned for i in range(planned)], device=device)
        else:
            run.set_timesteps(planned, device=device)
        begin = (planned - kept) * run.order
        # Only some schedulers count their steps and must be told where to begin; the others look the timestep up.
        set_begin_index = getattr(run, "set_begin_index", None)
        if set_begin_index is not None:
            set_begin_index(begin)
        return cls(run, run.timesteps[begin:])

    def initial_latents(self, noise: Latents, edit_latents: Latents | None = None) -> Latents:
        """Make what denoising begins with: noise alone, or the source with noise for the first timestep."""
        if edit_latents is None:
            return noise * getattr(self.scheduler, "init_noise_sigma", 1.0)
        first = self.timesteps[:1].expand(len(noise))
        # Flow-matching schedulers call the same thing scale_noise, with the arguments in another order.
        if self.is_flow_euler:
            return self.scheduler.scale_noise(edit_latents, first, noise)
        return self.scheduler.add_noise(edit_latents, noise, first)

    def model_input(self, latents: Latents, timestep: Tensor) -> Latents:
        """Scale latents to the size that the model was trained on."""
        return latents if self.is_flow_euler else self.scheduler.scale_model_input(latents, timestep)

    def step(
        self, prediction: Latents, timestep: Tensor, latents: Latents, generators: Sequence[torch.Generator]
    ) -> Latents:
        """Take away one step's noise."""
        takes_generator = "generator" in inspect.signature(self.scheduler.step).parameters
        noise = {"generator": list(generators)} if takes_generator and generators else {}
        return self.scheduler.step(prediction, timestep, latents, **noise).prev_sample

    def predicted_original(self, model_input: Latents, prediction: Latents, timestep: Tensor) -> Latents:
        """Guess the result from one prediction."""
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
        """Whether this is one of the flow-matching Euler schedulers, whose interface differs."""
        return _is_flow_euler(self.scheduler)


def _is_flow_euler(scheduler: Any) -> bool:
    return not hasattr(scheduler, "scale_model_input")
