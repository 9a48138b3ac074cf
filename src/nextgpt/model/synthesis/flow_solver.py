"""DPM-Solver++ 2M for flow matching in plain PyTorch, the solver of nano.

It computes what diffusers' ``DPMSolverMultistepScheduler`` does with :data:`SETTINGS`, without importing diffusers, and
has the methods of it that :class:`.schedule.DenoisingSchedule` calls.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from nextgpt.model.synthesis.base import Latents
from nextgpt.model.synthesis.native_config import NativeConfig

CLASS_NAME = "DPMSolverMultistepScheduler"
FOLDER_CLASSES = ("FlowMatchEulerDiscreteScheduler", CLASS_NAME)
"""Scheduler classes in folders that the solver can replace."""
SETTINGS: Mapping[str, Any] = {
    "prediction_type": "flow_prediction",
    "use_flow_sigmas": True,
    "solver_order": 2,
    "algorithm_type": "dpmsolver++",
    "solver_type": "midpoint",
    "final_sigmas_type": "zero",
    "thresholding": False,
    "use_karras_sigmas": False,
    "use_exponential_sigmas": False,
    "use_beta_sigmas": False,
    "use_lu_lambdas": False,
}
"""Settings that the solver has; all but the first two are diffusers' defaults."""
DEFAULTS: Mapping[str, Any] = {"prediction_type": "epsilon", "use_flow_sigmas": False}


def is_supported(class_name: str, config: Mapping[str, Any]) -> bool:
    """Return whether :class:`FlowSolver` computes what diffusers' scheduler does with this config."""
    given = {name: config.get(name, DEFAULTS.get(name, value)) for name, value in SETTINGS.items()}
    return class_name == CLASS_NAME and given == SETTINGS


class FlowSolver:
    """Second-order multistep solver from noise (time 1) to data (Lu et al. 2022, arXiv 2211.01095, algorithm 2).

    Args:
        config: ``num_train_timesteps``, 1000 by default, and ``flow_shift``, 1 by default.
    """

    order = 1
    init_noise_sigma = 1.0

    def __init__(self, config: Mapping[str, Any]) -> None:
        self.config = NativeConfig({"num_train_timesteps": 1000, "flow_shift": 1.0, **config})
        self.timesteps = torch.empty(0, dtype=torch.long)
        self._times = torch.empty(0)
        self._index = 0
        self._last_data: Latents | None = None

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> FlowSolver:
        """Return a solver at the beginning of a run."""
        return cls(config)

    def set_timesteps(self, num_inference_steps: int, device: str | torch.device = "cpu") -> None:
        """Choose the times of a run, shifted towards noise by ``flow_shift``."""
        shift, num_train = self.config["flow_shift"], self.config["num_train_timesteps"]
        even = 1.0 - np.linspace(1, 1 / num_train, num_inference_steps + 1)  # torch's rounds differently
        times = np.flip(shift * even / (1 + (shift - 1) * even))[:-1]
        self._times = torch.from_numpy(np.append(times, 0.0)).float()
        self.timesteps = torch.from_numpy(times * num_train).long().to(device)

    def set_begin_index(self, begin_index: int) -> None:
        """Begin with this step instead of the first."""
        self._index = begin_index

    def scale_model_input(self, latents: Latents, timestep: Tensor) -> Latents:
        """Return the latents unchanged."""
        return latents

    def add_noise(self, latents: Latents, noise: Latents, timesteps: Tensor) -> Latents:
        """Return latents of the first step of the run; ``timesteps`` are ignored."""
        time = self._times[self._index].to(latents)
        return (1 - time) * latents + time * noise

    def step(self, prediction: Latents, timestep: Tensor, latents: Latents) -> SimpleNamespace:
        """Return an object whose ``prev_sample`` is the latents after the step."""
        start, end = self._times[self._index], self._times[self._index + 1]
        data = latents - start * prediction
        decay = torch.exp(_log_snr(start) - _log_snr(end)) - 1.0
        result = (end / start) * latents - (1 - end) * decay * data
        if self._last_data is not None and end > 0:
            ratio = (_log_snr(start) - _log_snr(self._times[self._index - 1])) / (_log_snr(end) - _log_snr(start))
            result = result - 0.5 * ((1 - end) * decay) * ((1.0 / ratio) * (data - self._last_data))
        self._index, self._last_data = self._index + 1, data
        return SimpleNamespace(prev_sample=result)


def _log_snr(time: Tensor) -> Tensor:
    """Return half the logarithm of the signal-to-noise ratio at a time of the flow."""
    return torch.log(1 - time) - torch.log(time)
