"""How a model lies in memory: the type and the place of each part, and which parts take turns.

A plan is data. One function chooses it to fit a budget; the loaders in :mod:`nextgpt.model.loading` follow it.
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
"""A weight's size by type; beside every 64 of four bits stands a factor of eight (arXiv 2305.14314)."""
QUANTIZED_DTYPES = ("int8", "int4")
"""Types of the LLM's linear layers alone, but for its head; the rest of it is bfloat16 then."""
AUTO_DEVICE_MAPS = ("auto", "balanced", "sequential")
"""Places that accelerate chooses: layers of the LLM are spread over GPUs, memory and disk."""
TRAINED = "trained"
"""What this project trains, as a part of a plan: projections and rows of signal tokens."""
LIBRARIES_BYTES = 500_000_000
"""What Python and its libraries take before any weight."""
WORK_BYTES = 1_250_000_000
"""The most that a part is given to work with: pixels and what layers make of them; a small one as much as it weighs."""
LLM_WORK_BYTES = 750_000_000
"""The same of the LLM: keys and values of what it hears and of what it heard lately."""
UNITS = {"": 1, "B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "KIB": 2**10, "MIB": 2**20, "GIB": 2**30}

OffloadTo = Literal["stays", "cpu", "disk"]


@dataclass(frozen=True)
class ComponentPlacement:
    """One part."""

    dtype: str = "float32"
    """A key of :data:`BYTES`."""
    device: str = "cpu"
    """``cpu``, ``cuda``, ``cuda:1``, ...; of the LLM also one of :data:`SPREAD`."""
    offload_to: OffloadTo = "stays"
    """Where it is while others work: it stays, goes to the CPU, or is let go and read again from disk."""
    weights_bytes: int = 0
    """What its weights take; 0 where nobody asked."""


@dataclass(frozen=True)
class MemoryPlan:
    """A whole model; parts that do not stay take turns, so that one of them is in memory at a time."""

    placements: Mapping[str, ComponentPlacement]
    peak_bytes: int = 0
    """The most that is in use at a time, as far as can be told beforehand; 0 where nobody asked."""

    @property
    def has_offloading(self) -> bool:
        """Whether any part leaves while others work."""
        return any(part.offload_to != "stays" for part in self.placements.values())

    def with_sizes(self, sizes: Mapping[str, ComponentSize]) -> MemoryPlan:
        """The same with what its parts take; those of unknown size are left as they are."""
        if not sizes:
            return self
        parts = {
            name: replace(part, weights_bytes=sizes[name].num_bytes(part.dtype)) if name in sizes else part
            for name, part in self.placements.items()
        }
        staying = sum(part.weights_bytes for part in parts.values() if part.offload_to == "stays")
        at_work = max(
            min(size.num_bytes("float32"), LLM_WORK_BYTES if name == "llm" else WORK_BYTES)
            + (0 if parts[name].offload_to == "stays" else parts[name].weights_bytes)
            for name, size in sizes.items()
            if name != TRAINED
        )
        return MemoryPlan(parts, LIBRARIES_BYTES + staying + at_work)


@dataclass(frozen=True)
class ComponentSize:
    """What must be known of a part to plan it."""

    parameters: int
    float32_parameters: int = 0
    """Those that are float32 whatever the plan says."""
    quantizable_parameters: int = 0
    """Those in layers that can be quantised."""

    def num_bytes(self, dtype: str) -> int:
        """What the part takes in a type."""
        rest = self.parameters - self.float32_parameters
        if dtype in QUANTIZED_DTYPES:
            small = (
                self.quantizable_parameters * BYTES_PER_WEIGHT[dtype]
                + (rest - self.quantizable_parameters) * BYTES_PER_WEIGHT["bfloat16"]
            )
        else:
            small = rest * BYTES_PER_WEIGHT[dtype]
        return round(small + self.float32_parameters * BYTES_PER_WEIGHT["float32"])


def fastest_dtypes(names: Iterable[str]) -> dict[str, str]:
    """Types of the parts that answer sooner in another one than float32, on this processor.

    With matrix units (AMX), batches go through denoisers in bfloat16 in half the time; without, in twice.
    """
    has_matrix_units = torch.cpu._is_amx_tile_supported()
    return {name: "bfloat16" for name in names if name in MODALITIES} if has_matrix_units else {}


def default_plan(
    names: Iterable[str],
    *,
    device: str | Mapping[str, str] = "cpu",
    dtype: str | Mapping[str, str] = "float32",
) -> MemoryPlan:
    """Every part stays; types and places for all, or by the name of a part. Raises :class:`ConfigError`."""
    known = [*names, TRAINED]
    chosen = {}
    for setting, default, value in (("device", "cpu", device), ("dtype", "float32", dtype)):
        given = dict.fromkeys(known, value) if isinstance(value, str) else dict(value)
        for name in given:
            if name not in known:
                raise ConfigError(f"{setting}: {unknown_name_message('part', name, known)}")
        chosen[setting] = {name: given.get(name, default) for name in known}
        # What is trained works beside the LLM, in a type that can be trained.
        if TRAINED not in given or isinstance(value, str):
            chosen[setting][TRAINED] = _trained_placement(chosen[setting].get("llm", default))
    plans = {name: ComponentPlacement(chosen["dtype"][name], chosen["device"][name]) for name in known}
    for name, plan in plans.items():
        _check(name, plan)
    return MemoryPlan(plans)


def _trained_placement(value: str) -> str:
    if value in AUTO_DEVICE_MAPS:
        return "cuda" if torch.cuda.is_available() else "cpu"
    return "float32" if value in QUANTIZED_DTYPES else value


def _check(name: str, plan: ComponentPlacement) -> None:
    if plan.dtype not in BYTES_PER_WEIGHT:
        raise ConfigError(f"dtype of {name}: {unknown_name_message('type', plan.dtype, BYTES_PER_WEIGHT)}")
    if name != "llm" and (plan.dtype in QUANTIZED_DTYPES or plan.device in AUTO_DEVICE_MAPS):
        wrong = plan.dtype if plan.dtype in QUANTIZED_DTYPES else plan.device
        raise ConfigError(f"The part {name} came with {wrong}, which serves the LLM alone. Say llm={wrong}.")


def plan_within_budget(
    sizes: Mapping[str, ComponentSize],
    budget_bytes: int,
    *,
    device: str = "cpu",
    dtype: str = "float32",
    can_quantize: bool = True,
    allow_offload: bool = True,
) -> MemoryPlan:
    """The best plan within a budget of memory: of the process on a CPU, of the GPU elsewhere.

    Precision goes before speed, but for what is not noticed: float32 becomes bfloat16 before anything is read again.

    Args:
        sizes: Of all parts, ``llm`` and :data:`TRAINED` among them.
        dtype: The widest type to take.
        can_quantise: Whether the library for it is there.
        takes_turns: Whether parts may leave while others work.

    Raises:
        ModelError: Even the smallest plan takes more; says how much.
    """
    steps = [step for step in _candidate_plans(sizes, dtype) if allow_offload or not step[2]]
    plans = {step: _plan(sizes, device, *step) for step in steps}
    taken = [plan for step, plan in plans.items() if can_quantize or step[0] not in QUANTIZED_DTYPES]
    for plan in taken:
        if plan.peak_bytes <= budget_bytes:
            return plan
    least = min(plan.peak_bytes for plan in taken)
    smaller = min(plan.peak_bytes for plan in plans.values())
    advice = "Give more, or take a smaller model."
    if smaller < least:
        advice = f"With pip install 'nextgpt[quantized]' {smaller / 1e9:.1f} GB are enough."
    raise ModelError(
        f"{budget_bytes / 1e9:.1f} GB of memory came; expected at least {least / 1e9:.1f} GB. {advice}"
    )


def _candidate_plans(
    sizes: Mapping[str, ComponentSize], dtype: str
) -> Iterator[tuple[str, str, frozenset[str]]]:
    """From the best to the smallest: type of the LLM, type of the others, parts that take turns."""
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


def _plan(
    sizes: Mapping[str, ComponentSize], device: str, llm: str, others: str, turns: frozenset[str]
) -> MemoryPlan:
    away: OffloadTo = "disk" if device == "cpu" else "cpu"
    parts = {}
    for name in sizes:
        dtype = {"llm": llm, TRAINED: "float32"}.get(name, others)
        # Quantised weights are not moved about: they are read and quantised again.
        rest: OffloadTo = "stays" if name not in turns else "disk" if dtype in QUANTIZED_DTYPES else away
        parts[name] = ComponentPlacement(dtype, device, rest)
    return MemoryPlan(parts).with_sizes(sizes)


def parse_size(text: str | int) -> int:
    """``"6GB"``, ``"1.5 GiB"`` or a number of bytes as bytes. Raises :class:`ConfigError`."""
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([A-Za-z]*)\s*", str(text))
    if found is None or found[2].upper() not in UNITS or float(found[1]) == 0:
        raise ConfigError(
            f"The size {str(text)!r} came; expected a number with a unit, such as 6GB or 500MiB."
        )
    return round(float(found[1]) * UNITS[found[2].upper()])
