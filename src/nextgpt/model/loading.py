"""Plan dtype, device and offloading of a model's components, and load each component on first use."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch

from nextgpt.config import ModelConfig
from nextgpt.errors import ConfigError, unknown_name_message
from nextgpt.model.components import Component, OffloadGroup, component_from_dir
from nextgpt.model.encoding import Encoder, load_encoder
from nextgpt.model.llm.language_model import LanguageModel
from nextgpt.model.llm.native_loading import load_native_language_model
from nextgpt.model.memory_plan import (
    AUTO_DEVICE_MAPS,
    BYTES_PER_WEIGHT,
    QUANTIZED_DTYPES,
    TRAINED,
    ComponentPlacement,
    MemoryPlan,
    default_plan,
    fastest_dtypes,
    parse_size,
    plan_within_budget,
)
from nextgpt.model.quirks import QUIRKS
from nextgpt.model.summary import ComponentSummary, component_sizes
from nextgpt.model.synthesis.base import Synthesizer

Dtype = torch.dtype | str
"""A torch dtype, or ``int8`` or ``int4`` for the LLM."""


def make_memory_plan(
    components: Iterable[ComponentSummary],
    *,
    names: Iterable[str] | None = None,
    device: str | Mapping[str, str] = "cpu",
    dtype: Dtype | Mapping[str, Dtype] | None = None,
    max_memory: str | int | None = None,
    allow_offload: bool = True,
) -> MemoryPlan:
    """Return the plan that the options ask for, or the best one within ``max_memory``.

    Args:
        components: Summary of the model; required for a budget and for sizes in the plan.
        names: Names of the components; needed only if ``components`` is empty.

    Raises:
        ConfigError: The options contradict each other.
        ModelError: The model does not fit into the budget.
    """
    sizes = component_sizes(components)
    names = [name for name in sizes if name != TRAINED] if names is None else list(names)
    is_default = dtype is None and device == "cpu" and max_memory is None
    if dtype is None:
        dtype = fastest_dtypes(names) if is_default else torch.float32
    dtypes = _dtype_names(dtype)
    if max_memory is None:
        plan = default_plan(names, device=device, dtype=dtypes).with_sizes(sizes)
        return plan.with_fused_decoder() if is_default else plan
    is_per_component = not isinstance(device, str) or not isinstance(dtypes, str)
    if is_per_component or device in AUTO_DEVICE_MAPS or dtypes in QUANTIZED_DTYPES:
        raise ConfigError(
            "max_memory was combined with per-component options or a quantized dtype; expected one device and the "
            "widest dtype, as the budget chooses the rest. Give one or the other."
        )
    if dtypes not in BYTES_PER_WEIGHT:
        raise ConfigError(unknown_name_message("dtype", dtypes, BYTES_PER_WEIGHT))
    return plan_within_budget(
        sizes,
        parse_size(max_memory),
        device=device,
        dtype=dtypes,
        can_quantize=find_spec("bitsandbytes") is not None,
        allow_offload=allow_offload,
    )


def _dtype_names(dtype: Dtype | Mapping[str, Dtype]) -> str | dict[str, str]:
    if isinstance(dtype, Mapping):
        return {name: str(value).removeprefix("torch.") for name, value in dtype.items()}
    return str(dtype).removeprefix("torch.")


def lazy_components(
    config: ModelConfig, model_dir: Path, plan: MemoryPlan, sampling: str = "default"
) -> dict[str, Component]:
    """Return the frozen components by name; each is loaded on first use, as planned.

    Raises:
        ConfigError: A device of the plan cannot be used on this machine.
    """
    for placement in plan.placements.values():
        check_device(placement.device)
    quirks = QUIRKS.get(config.quirks or "")

    def encoder(folder: Path, placement: ComponentPlacement) -> Encoder:
        return load_encoder(
            folder, dtype=getattr(torch, placement.dtype), device=placement.device, as_in_nextgpt=quirks is not None
        )

    def llm(folder: Path, placement: ComponentPlacement) -> LanguageModel:
        if placement.use_fused_decoder and quirks is None:
            native = load_native_language_model(
                folder,
                template=config.llm.template,
                soft_tokens=config.input_projection.soft_tokens,
                context_length=config.llm.context_length,
            )
            if native is not None:
                native.stops_at_loops = config.llm.stop_at_loops
                return native
        from nextgpt.model.llm.loading import load_language_model  # importing transformers' models takes seconds

        loaded = load_language_model(
            folder,
            template=(quirks and quirks.template) or config.llm.template,
            has_signal_separators=quirks is not None and quirks.has_signal_separators,
            soft_tokens=config.input_projection.soft_tokens,
            context_length=config.llm.context_length,
            dtype=placement.dtype,
            device=placement.device,
            use_fused_decoder=placement.use_fused_decoder,
        )
        loaded.stops_at_loops = config.llm.stop_at_loops
        return loaded

    def synthesizer(folder: Path, placement: ComponentPlacement, modality: str) -> Synthesizer:
        from nextgpt.model.synthesis import load_synthesizer  # importing diffusers takes seconds

        dtype = getattr(torch, placement.dtype)
        return load_synthesizer(folder, modality, device=placement.device, dtype=dtype, sampling=sampling)

    loaders = {"encoder": encoder, "llm": llm}
    loaders |= {modality: partial(synthesizer, modality=modality) for modality in config.synthesizers}
    group = OffloadGroup()
    components: dict[str, Component] = {}
    for name, source in config.component_sources.items():
        placement = plan.placements[name]
        components[name] = component_from_dir(
            source, model_dir, partial(loaders[name], placement=placement), **_offload_options(name, placement, group)
        )
    return components


def check_device(device: str) -> None:
    """Raise :class:`ConfigError` if torch or this machine does not have the device."""
    if device in AUTO_DEVICE_MAPS:
        return
    try:
        known = torch.device(device)
        if known.type == "meta":
            raise RuntimeError("it has shapes, but no values")
        torch.empty(0, device=known)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        usable = ["cpu", *(f"cuda:{index}" for index in range(torch.cuda.device_count()))]
        usable += ["mps"] if torch.backends.mps.is_available() else []
        reason = (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")
        if reason.startswith("Expected one of"):  # torch lists every backend that it was ever built for
            reason = "torch has no such device"
        raise ConfigError(
            f"device {device!r} cannot be used ({reason}); expected one of {', '.join(usable)} on this machine. "
            "Leave --device out to use the CPU."
        ) from None


def _offload_options(name: str, placement: ComponentPlacement, group: OffloadGroup) -> dict[str, Any]:
    """Return the offload arguments of one component. The LLM offloads only its frozen weights."""
    if placement.offload_to == "none":
        return {}
    if placement.offload_to == "cpu":
        return {
            "group": group,
            "offload": lambda component: component.to("cpu"),
            "onload": lambda component: component.to(placement.device),
        }
    if name == "llm":
        return {"group": group, "offload": LanguageModel.unload_weights, "onload": LanguageModel.reload_weights}
    return {"group": group}
