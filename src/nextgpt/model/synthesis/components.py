"""Components of one diffusers folder, each loaded on first use and kept."""

from __future__ import annotations

import inspect
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from nextgpt.errors import ModelError, unknown_name_message
from nextgpt.model.components import LOAD_LOCK
from nextgpt.model.synthesis.autoencoders import LatentCodec, get_autoencoder_adapter
from nextgpt.model.synthesis.diffusers_io import (
    INDEX_FILE,
    ModelIndex,
    load_component,
    read_json,
    read_negative_condition,
    read_tensor,
    scheduler_class,
)
from nextgpt.model.synthesis.flow_solver import FOLDER_CLASSES, FlowSolver, is_supported
from nextgpt.model.synthesis.spec import denoiser_name

VOCODERS = ("SpeechT5HifiGan",)


class SynthesizerComponents:
    """Lazily loaded components. For the text encoder see :mod:`nextgpt.model.synthesis.prompt_encoder`.

    Args:
        scheduler_name: Scheduler class. Default: the folder's.
        flow_shift: Shift of a flow-matching schedule. Default: the folder's.
        dtype: Dtype of the denoiser. The autoencoder and the vocoder run once per medium and stay in float32: they
            overflow in float16, and narrow convolutions are slower in bfloat16 on a CPU.
        allow_native: See :func:`.diffusers_io.load_component`; the same for the scheduler.
    """

    def __init__(
        self,
        folder: Path,
        index: ModelIndex,
        *,
        scheduler_name: str | None,
        flow_shift: float | None = None,
        dtype: torch.dtype,
        device: str | torch.device,
        allow_native: bool = True,
    ) -> None:
        self.folder = folder
        self.index = index
        self.scheduler_name = scheduler_name
        self.flow_shift = flow_shift
        self.dtype = dtype
        self.allow_native = allow_native
        self.device = torch.device(device)

    @cached_property
    def denoiser(self) -> nn.Module:
        """The denoiser, which predicts noise, velocity or flow."""
        return self._read(denoiser_name(self.folder, self.index), self.dtype)

    @cached_property
    def autoencoder(self) -> LatentCodec:
        """The autoencoder, pixels to latents and back."""
        class_name = self._class_name("vae")
        adapter = get_autoencoder_adapter(class_name, where=str(self.folder / INDEX_FILE))
        return LatentCodec(self._read("vae", torch.float32), adapter)

    @cached_property
    def vocoder(self) -> Any:
        """The vocoder, spectrograms to samples."""
        class_name = self._class_name("vocoder")
        if class_name not in VOCODERS:
            raise ModelError(f"{self.folder / INDEX_FILE}: {unknown_name_message('vocoder', class_name, VOCODERS)}")
        return self._read("vocoder", torch.float32)

    @cached_property
    def scheduler(self) -> Any:
        """The scheduler, a template of which each run uses a copy."""
        path = self.folder / "scheduler" / "scheduler_config.json"
        config = read_json(path)
        own = self._class_name("scheduler")
        name = self.scheduler_name or own
        if config.get("use_dynamic_shifting"):
            raise ModelError(
                f"{path} shifts its schedule by image size (use_dynamic_shifting); expected one shift. "
                "Use a model with a fixed shift."
            )
        if self.flow_shift is not None:
            config |= {"shift": self.flow_shift, "flow_shift": self.flow_shift}
        config |= _flow_settings(config) if own.startswith("FlowMatch") and name != own else {}
        if self.allow_native and own in FOLDER_CLASSES and is_supported(name, config):
            return FlowSolver(config)
        _, cls = (scheduler_class(each, where=self.folder) for each in (own, name))
        # Unsupported settings are dropped; diffusers would warn about them at every run.
        supported = inspect.signature(cls.__init__).parameters
        return cls(**{key: value for key, value in config.items() if key in supported})

    @cached_property
    def negative_condition(self) -> Tensor | None:
        """Condition of the empty caption (Q, C), or ``None`` if the folder has none."""
        return read_negative_condition(self.folder)

    def read_extra_input(self, component: str, key: str) -> Tensor:
        """Read a single tensor of a component. Raises :class:`WeightsError` if it is missing."""
        return read_tensor(self.folder / component, key)

    def to(self, device: str | torch.device) -> None:
        """Move loaded components; others will be loaded to ``device``."""
        self.device = torch.device(device)
        for name in self.loaded_names & {"denoiser", "autoencoder", "vocoder"}:
            component = vars(self)[name]
            (component.autoencoder if isinstance(component, LatentCodec) else component).to(self.device)

    @property
    def loaded_names(self) -> frozenset[str]:
        """Names of the loaded components."""
        return frozenset(name for name in vars(self) if isinstance(getattr(type(self), name, None), cached_property))

    def _read(self, name: str, dtype: torch.dtype) -> Any:
        with LOAD_LOCK:
            return load_component(
                self.folder,
                name,
                self._class_name(name),
                dtype=dtype,
                device=self.device,
                allow_native=self.allow_native,
            )

    def _class_name(self, name: str) -> str:
        if name not in self.index:
            raise ModelError(
                f"{self.folder / INDEX_FILE} names {', '.join(self.index)}; expected {name} as well. "
                "Download the model again."
            )
        return self.index[name]


def _flow_settings(config: dict[str, Any]) -> dict[str, Any]:
    """Return the settings with which other schedulers follow a flow-matching schedule."""
    return {"use_flow_sigmas": True, "prediction_type": "flow_prediction", "flow_shift": config.get("shift", 1.0)}
