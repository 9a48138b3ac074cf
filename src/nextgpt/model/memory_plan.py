"""Plan the memory of a model: dtype and device of each component, and which components are offloaded.

A plan is data. :func:`plan_within_budget` chooses one for a budget; :mod:`nextgpt.model.loading` follows it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Literal

import torch

from nextgpt.errors import ConfigError, ModelError, unknown_name_message
from nextgpt.modality import MODALITIES

BYTES_PER_WEIGHT = {"float32": 4.0, "float16": 2.0, "bfloat16": 2.0, "int8": 1.0, "int4": 0.516}
"""Bytes per weight by dtype. int4 adds one 8-bit scale per block of 64 (QLoRA, arXiv 2305.14314)."""
QUANTIZED_DTYPES = ("int8", "int4")
"""Dtypes of the LLM's linear layers except its head; its other weights are bfloat16 then."""
AUTO_DEVICE_MAPS = ("auto", "balanced", "sequential")
"""Device maps of accelerate: the layers of the LLM are spread over GPUs, memory and disk."""
TRAINED = "trained"
"""Name of the trained weights in a plan: projections and signal-token embeddings."""
LIBRARIES_BYTES = 500_000_000
"""Memory of Python and its libraries before any weight is loaded."""
WORK_BYTES = 1_250_000_000
"""Upper bound on activation memory per component. Smaller components need at most their float32 weight size."""
LLM_WORK_BYTES = 750_000_000
"""The same bound for the LLM: KV cache of the current and the recent conversations."""
UNITS = {"": 1, "B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "KIB": 2**10, "MIB": 2**20, "GIB": 2**30}

OffloadTo = Literal["none", "cpu", "disk"]


@dataclass(frozen=True)
class ComponentPlacement:
    """Dtype, device and offloading of one component."""

    dtype: str = "float32"
    """A key of :data:`BYTES_PER_WEIGHT`."""
    device: str = "cpu"
    """``cpu``, ``cuda``, ``cuda:1``, ...; for the LLM also one of :data:`AUTO_DEVICE_MAPS`."""
    offload_to: OffloadTo = "none"
    """Location while other components run; ``disk`` frees the weights and reads them again."""
    weights_bytes: int = 0
    """Size of the weights; 0 if unknown."""
    use_fused_decoder: bool = False
    """For the LLM on a CPU: generate with :class:`~nextgpt.model.llm.fused_decoder.FusedDecoder` if it is faster."""


@dataclass(frozen=True)
class MemoryPlan:
    """Placements of all components. At most one offloadable component is in memory at a time."""

    placements: Mapping[str, ComponentPlacement]
    peak_bytes: int = 0
    """Estimated peak memory; 0 if unknown."""

    def with_fused_decoder(self) -> MemoryPlan:
        """Return the plan with a fused decoder for the LLM."""
        if "llm" not in self.placements:
            return self
        llm = replace(self.placements["llm"], use_fused_decoder=True)
        return replace(self, placements={**self.placements, "llm": llm})

    def with_sizes(self, sizes: Mapping[str, ComponentSize]) -> MemoryPlan:
        """Return the plan with the bytes of each component in ``sizes`` and the resulting peak."""
        if not sizes:
            return self
        placements = {
            name: replace(item, weights_bytes=sizes[name].num_bytes(item.dtype)) if name in sizes else item
            for name, item in self.placements.items()
        }
        resident = sum(item.weights_bytes for item in placements.values() if item.offload_to == "none")
        active = max(
            min(size.num_bytes("float32"), LLM_WORK_BYTES if name == "llm" else WORK_BYTES)
            + (0 if placements[name].offload_to == "none" else placements[name].weights_bytes)
            for name, size in sizes.items()
            if name != TRAINED
        )
        return MemoryPlan(placements, LIBRARIES_BYTES + resident + active)


@dataclass(frozen=True)
class ComponentSize:
    """Parameter counts of one component."""

    parameters: int
    float32_parameters: int = 0
    """Parameters that are float32 in every plan."""
    quantizable_parameters: int = 0
    """Parameters of layers that can be quantized."""

    def num_bytes(self, dtype: str) -> int:
        """Return the size of the weights in ``dtype``."""
        flexible = self.parameters - self.float32_parameters
        quantized = self.quantizable_parameters if dtype in QUANTIZED_DTYPES else 0
        rest_dtype = "bfloat16" if dtype in QUANTIZED_DTYPES else dtype
        return round(
            quantized * BYTES_PER_WEIGHT[dtype]
            + (flexible - quantized) * BYTES_PER_WEIGHT[rest_dtype]
            + self.float32_parameters * BYTES_PER_WEIGHT["float32"]
        )


def fastest_dtypes(names: Iterable[str]) -> dict[str, str]:
    """Return the dtypes of components that run faster on this CPU in another dtype than float32.

    With matrix units (AMX), batched denoising takes half the time in bfloat16; without them, twice the time.
    """
    has_amx = torch.cpu._is_amx_tile_supported()
    return {name: "bfloat16" for name in names if name in MODALITIES} if has_amx else {}


def default_plan(
    names: Iterable[str], *, device: str | Mapping[str, str] = "cpu", dtype: str | Mapping[str, str] = "float32"
) -> MemoryPlan:
    """Return a plan without offloading; options are one value, or one per component. Raises :class:`ConfigError`."""
    components = [*names, TRAINED]
    options: dict[str, dict[str, str]] = {}
    for option, default, value in (("device", "cpu", device), ("dtype", "float32", dtype)):
        values = dict.fromkeys(components, value) if isinstance(value, str) else dict(value)
        for name in values:
            if name not in components:
                raise ConfigError(f"{option}: {unknown_name_message('component', name, components)}")
        options[option] = {name: values.get(name, default) for name in components}
        # Trained weights follow the LLM, in a dtype that can be trained.
        if TRAINED not in values or isinstance(value, str):
            options[option][TRAINED] = _trained_placement(options[option].get("llm", default))
    placements = {name: ComponentPlacement(options["dtype"][name], options["device"][name]) for name in components}
    for name, placement in placements.items():
        _validate_placement(name, placement)
    return MemoryPlan(placements)


def _trained_placement(value: str) -> str:
    if value in AUTO_DEVICE_MAPS:
        return "cuda" if torch.cuda.is_available() else "cpu"
    return "float32" if value in QUANTIZED_DTYPES else value


def _validate_placement(name: str, placement: ComponentPlacement) -> None:
    if placement.dtype not in BYTES_PER_WEIGHT:
        accepted = [dtype for dtype in BYTES_PER_WEIGHT if name == "llm" or dtype not in QUANTIZED_DTYPES]
        raise ConfigError(f"dtype of {name}: {unknown_name_message('dtype', placement.dtype, accepted)}")
    if name == "llm":
        return
    for option, value, llm_only in (
        ("dtype", placement.dtype, QUANTIZED_DTYPES),
        ("device", placement.device, AUTO_DEVICE_MAPS),
    ):
        if value in llm_only:
            raise ConfigError(f"{name}: {option} {value} is supported for the LLM only. Use llm={value}.")


def plan_within_budget(
    sizes: Mapping[str, ComponentSize],
    budget_bytes: int,
    *,
    device: str = "cpu",
    dtype: str = "float32",
    can_quantize: bool = True,
    allow_offload: bool = True,
) -> MemoryPlan:
    """Return the best plan within a memory budget: of the process on a CPU, of the GPU otherwise.

    Precision has priority over speed, except that float32 becomes bfloat16 before anything is offloaded.

    Args:
        sizes: Sizes of all components, including ``llm`` and :data:`TRAINED`.
        dtype: The widest dtype to use.
        can_quantize: True if bitsandbytes is installed.

    Raises:
        ModelError: Even the smallest plan exceeds the budget; the message names its size.
    """
    plans = {
        candidate: _build_plan(sizes, device, *candidate)
        for candidate in _candidate_plans(sizes, dtype)
        if allow_offload or not candidate[2]
    }
    usable = [plan for (llm, *_), plan in plans.items() if can_quantize or llm not in QUANTIZED_DTYPES]
    for plan in usable:
        if plan.peak_bytes <= budget_bytes:
            return plan
    required = min(plan.peak_bytes for plan in usable)
    required_quantized = min(plan.peak_bytes for plan in plans.values())
    advice = "Raise the budget, or use a smaller model."
    if required_quantized < required:
        advice = f"With pip install 'nextgpt[quantized]' {required_quantized / 1e9:.1f} GB are enough."
    raise ModelError(
        f"The memory budget is {budget_bytes / 1e9:.1f} GB; this model needs at least {required / 1e9:.1f} GB. {advice}"
    )


def _candidate_plans(sizes: Mapping[str, ComponentSize], dtype: str) -> Iterator[tuple[str, str, frozenset[str]]]:
    """Yield candidates from best to smallest: dtype of the LLM, dtype of the others, offloaded components."""
    narrow = "bfloat16" if dtype == "float32" else dtype
    none, everything = frozenset[str](), frozenset(sizes) - {TRAINED}
    yield dtype, dtype, none
    yield narrow, dtype, none
    yield narrow, narrow, none
    yield narrow, narrow, everything - {"llm"}
    for llm in QUANTIZED_DTYPES:
        yield llm, narrow, none
        yield llm, narrow, everything - {"llm"}
    for llm in (narrow, *QUANTIZED_DTYPES):
        yield llm, narrow, everything


def _build_plan(
    sizes: Mapping[str, ComponentSize], device: str, llm: str, others: str, offloaded: frozenset[str]
) -> MemoryPlan:
    placements = {}
    for name in sizes:
        dtype = {"llm": llm, TRAINED: "float32"}.get(name, others)
        # Quantized weights cannot be moved: they are read and quantized again.
        reload = device == "cpu" or dtype in QUANTIZED_DTYPES
        offload_to: OffloadTo = "none" if name not in offloaded else "disk" if reload else "cpu"
        placements[name] = ComponentPlacement(dtype, device, offload_to)
    return MemoryPlan(placements).with_sizes(sizes)


def parse_size(text: str | int) -> int:
    """Parse ``"6GB"``, ``"1.5 GiB"`` or a number of bytes. Raises :class:`ConfigError`."""
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([A-Za-z]*)\s*", str(text))
    if match is None or match[2].upper() not in UNITS or float(match[1]) == 0:
        raise ConfigError(f"The size is {str(text)!r}; expected a number with a unit, such as 6GB or 500MiB.")
    return round(float(match[1]) * UNITS[match[2].upper()])
