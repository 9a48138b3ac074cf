"""The parts of one diffusers folder, each loaded when it is first needed, and kept."""

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
from nextgpt.model.synthesis.spec import denoiser_name

VOCODERS = ("SpeechT5HifiGan",)


class SynthesizerComponents:
    """Lazily loaded parts. A text encoder is not among them: see :mod:`nextgpt.model.synthesis.prompt_encoder`.

    Args:
        scheduler_name: A scheduler class to use in place of the folder's.
        flow_shift: The shift of a flow-matching schedule in place of the folder's.
        dtype: Of the denoiser, where the time goes. The autoencoder and the vocoder run once for each medium and stay
            in float32: they overflow in float16, and narrow convolutions are slower in bfloat16 on a CPU.
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
    ) -> None:
        self.folder = folder
        self.index = index
        self.scheduler_name = scheduler_name
        self.flow_shift = flow_shift
        self.dtype = dtype
        self.device = torch.device(device)

    @cached_property
    def denoiser(self) -> nn.Module:
        """Predicts noise, velocity or flow."""
        return self._read(denoiser_name(self.folder, self.index), self.dtype)

    @cached_property
    def autoencoder(self) -> LatentCodec:
        """Between pixels and latents."""
        class_name = self._class_name("vae")
        kind = get_autoencoder_adapter(class_name, where=str(self.folder / INDEX_FILE))
        return LatentCodec(self._read("vae", torch.float32), kind)

    @cached_property
    def vocoder(self) -> Any:
        """From spectrograms to sound."""
        class_name = self._class_name("vocoder")
        if class_name not in VOCODERS:
            raise ModelError(
                f"{self.folder / INDEX_FILE}: {unknown_name_message('vocoder', class_name, VOCODERS)}"
            )
        return self._read("vocoder", torch.float32)

    @cached_property
    def scheduler(self) -> Any:
        """The noise schedule and its scheduler_name, a template: runs take copies."""
        path = self.folder / "scheduler" / "scheduler_config.json"
        config = read_json(path)
        own = self._class_name("scheduler")
        chosen = scheduler_class(own, where=self.folder)
        if self.scheduler_name is not None:
            chosen = scheduler_class(self.scheduler_name, where=self.folder)
        if config.get("use_dynamic_shifting"):
            raise ModelError(
                f"{path} shifts its schedule by the size of the picture (use_dynamic_shifting); expected one shift. "
                "Take a model with a fixed shift."
            )
        if self.flow_shift is not None:
            config |= {"shift": self.flow_shift, "flow_shift": self.flow_shift}
        flow = (
            _flow_settings(config)
            if own.startswith("FlowMatch") and self.scheduler_name not in (None, own)
            else {}
        )
        # Settings that only the folder's own scheduler knows are left out; diffusers would warn of them at every run.
        known = inspect.signature(chosen.__init__).parameters
        return chosen(**{key: value for key, value in (config | flow).items() if key in known})

    @cached_property
    def negative_condition(self) -> Tensor | None:
        """The condition of the empty caption (Q, C), where the folder has it."""
        return read_negative_condition(self.folder)

    def read_extra_input(self, part: str, key: str) -> Tensor:
        """A tensor of a part that is needed without the part. Raises :class:`WeightsError` where it is not there."""
        return read_tensor(self.folder / part, key)

    def to(self, device: str | torch.device) -> None:
        """Move what is loaded, and load the rest there."""
        self.device = torch.device(device)
        for name in self.loaded_names & {"denoiser", "autoencoder", "vocoder"}:
            part = vars(self)[name]
            (part.autoencoder if isinstance(part, LatentCodec) else part).to(self.device)

    @property
    def loaded_names(self) -> frozenset[str]:
        """Names of the parts that are in memory."""
        return frozenset(
            name for name in vars(self) if isinstance(getattr(type(self), name, None), cached_property)
        )

    def _read(self, name: str, dtype: torch.dtype) -> Any:
        with LOAD_LOCK:
            return load_component(self.folder, name, self._class_name(name), dtype=dtype, device=self.device)

    def _class_name(self, name: str) -> str:
        if name not in self.index:
            raise ModelError(
                f"{self.folder / INDEX_FILE} names {', '.join(self.index)}; expected a {name} too. "
                "Fetch the model again."
            )
        return self.index[name]


def _flow_settings(config: dict[str, Any]) -> dict[str, Any]:
    """What other solvers must be told to follow a flow-matching schedule."""
    return {
        "use_flow_sigmas": True,
        "prediction_type": "flow_prediction",
        "flow_shift": config.get("shift", 1.0),
    }
