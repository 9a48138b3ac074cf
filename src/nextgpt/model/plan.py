"""How a model lies in memory: the type and the place of each part, and which parts take turns.

A plan is data. One function chooses it to fit a budget; the loaders in :mod:`nextgpt.model.folder` follow it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Literal

import torch

from nextgpt.errors import ConfigError, ModelError, unknown
from nextgpt.modality import MODALITIES

BYTES = {"float32": 4.0, "float16": 2.0, "bfloat16": 2.0, "int8": 1.0, "int4": 0.516}
"""A weight's size by type; beside every 64 of four bits stands a factor of eight (arXiv 2305.14314)."""
QUANTISED = ("int8", "int4")
"""Types of the LLM's linear layers alone, but for its head; the rest of it is bfloat16 then."""
SPREAD = ("auto", "balanced", "sequential")
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

Rest = Literal["stays", "cpu", "disk"]


@dataclass(frozen=True)
class PartPlan:
    """One part."""

    dtype: str = "float32"
    """A key of :data:`BYTES`."""
    device: str = "cpu"
    """``cpu``, ``cuda``, ``cuda:1``, ...; of the LLM also one of :data:`SPREAD`."""
    rest: Rest = "stays"
    """Where it is while others work: it stays, goes to the CPU, or is let go and read again from disk."""
    weights_bytes: int = 0
    """What its weights take; 0 where nobody asked."""


@dataclass(frozen=True)
class Plan:
    """A whole model; parts that do not stay take turns, so that one of them is in memory at a time."""

    parts: Mapping[str, PartPlan]
    peak_bytes: int = 0
    """The most that is in use at a time, as far as can be told beforehand; 0 where nobody asked."""

    @property
    def takes_turns(self) -> bool:
        """Whether any part leaves while others work."""
        return any(part.rest != "stays" for part in self.parts.values())

    def weighed(self, sizes: Mapping[str, PartSize]) -> Plan:
        """The same with what its parts take; those of unknown size are left as they are."""
        if not sizes:
            return self
        parts = {
            name: replace(part, weights_bytes=sizes[name].in_bytes(part.dtype)) if name in sizes else part
            for name, part in self.parts.items()
        }
        staying = sum(part.weights_bytes for part in parts.values() if part.rest == "stays")
        at_work = max(
            min(size.in_bytes("float32"), LLM_WORK_BYTES if name == "llm" else WORK_BYTES)
            + (0 if parts[name].rest == "stays" else parts[name].weights_bytes)
            for name, size in sizes.items()
            if name != TRAINED
        )
        return Plan(parts, LIBRARIES_BYTES + staying + at_work)


@dataclass(frozen=True)
class PartSize:
    """What must be known of a part to plan it."""

    parameters: int
    wide: int = 0
    """Those that are float32 whatever the plan says."""
    quantisable: int = 0
    """Those in layers that can be quantised."""

    def in_bytes(self, dtype: str) -> int:
        """What the part takes in a type."""
        rest = self.parameters - self.wide
        if dtype in QUANTISED:
            small = self.quantisable * BYTES[dtype] + (rest - self.quantisable) * BYTES["bfloat16"]
        else:
            small = rest * BYTES[dtype]
        return round(small + self.wide * BYTES["float32"])


def fast_types(names: Iterable[str]) -> dict[str, str]:
    """Types of the parts that answer sooner in another one than float32, on this processor.

    With matrix units (AMX), batches go through denoisers in bfloat16 in half the time; without, in twice.
    """
    has_matrix_units = torch.cpu._is_amx_tile_supported()
    return {name: "bfloat16" for name in names if name in MODALITIES} if has_matrix_units else {}


def uniform_plan(
    names: Iterable[str],
    *,
    device: str | Mapping[str, str] = "cpu",
    dtype: str | Mapping[str, str] = "float32",
) -> Plan:
    """Every part stays; types and places for all, or by the name of a part. Raises :class:`ConfigError`."""
    known = [*names, TRAINED]
    chosen = {}
    for setting, default, value in (("device", "cpu", device), ("dtype", "float32", dtype)):
        given = dict.fromkeys(known, value) if isinstance(value, str) else dict(value)
        for name in given:
            if name not in known:
                raise ConfigError(f"{setting}: {unknown('part', name, known)}")
        chosen[setting] = {name: given.get(name, default) for name in known}
        # What is trained works beside the LLM, in a type that can be trained.
        if TRAINED not in given or isinstance(value, str):
            chosen[setting][TRAINED] = _beside_llm(chosen[setting].get("llm", default))
    plans = {name: PartPlan(chosen["dtype"][name], chosen["device"][name]) for name in known}
    for name, plan in plans.items():
        _check(name, plan)
    return Plan(plans)


def _beside_llm(value: str) -> str:
    if value in SPREAD:
        return "cuda" if torch.cuda.is_available() else "cpu"
    return "float32" if value in QUANTISED else value


def _check(name: str, plan: PartPlan) -> None:
    if plan.dtype not in BYTES:
        raise ConfigError(f"dtype of {name}: {unknown('type', plan.dtype, BYTES)}")
    if name != "llm" and (plan.dtype in QUANTISED or plan.device in SPREAD):
        wrong = plan.dtype if plan.dtype in QUANTISED else plan.device
        raise ConfigError(f"The part {name} came with {wrong}, which serves the LLM alone. Say llm={wrong}.")


def fitting_plan(
    sizes: Mapping[str, PartSize],
    budget_bytes: int,
    *,
    device: str = "cpu",
    dtype: str = "float32",
    can_quantise: bool = True,
    takes_turns: bool = True,
) -> Plan:
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
    steps = [step for step in _steps(sizes, dtype) if takes_turns or not step[2]]
    plans = {step: _plan(sizes, device, *step) for step in steps}
    taken = [plan for step, plan in plans.items() if can_quantise or step[0] not in QUANTISED]
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


def _steps(sizes: Mapping[str, PartSize], dtype: str) -> Iterator[tuple[str, str, frozenset[str]]]:
    """From the best to the smallest: type of the LLM, type of the others, parts that take turns."""
    narrow = "bfloat16" if dtype == "float32" else dtype
    none, everything = frozenset[str](), frozenset(sizes) - {TRAINED}
    yield dtype, dtype, none
    yield narrow, dtype, none
    yield narrow, narrow, none
    yield narrow, narrow, everything - {"llm"}
    for llm in QUANTISED:
        yield llm, narrow, none
        yield llm, narrow, everything - {"llm"}
    for llm in (narrow, *QUANTISED):
        yield llm, narrow, everything


def _plan(sizes: Mapping[str, PartSize], device: str, llm: str, others: str, turns: frozenset[str]) -> Plan:
    away: Rest = "disk" if device == "cpu" else "cpu"
    parts = {}
    for name in sizes:
        dtype = {"llm": llm, TRAINED: "float32"}.get(name, others)
        # Quantised weights are not moved about: they are read and quantised again.
        rest: Rest = "stays" if name not in turns else "disk" if dtype in QUANTISED else away
        parts[name] = PartPlan(dtype, device, rest)
    return Plan(parts).weighed(sizes)


def parse_size(text: str | int) -> int:
    """``"6GB"``, ``"1.5 GiB"`` or a number of bytes as bytes. Raises :class:`ConfigError`."""
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([A-Za-z]*)\s*", str(text))
    if found is None or found[2].upper() not in UNITS or float(found[1]) == 0:
        raise ConfigError(
            f"The size {str(text)!r} came; expected a number with a unit, such as 6GB or 500MiB."
        )
    return round(float(found[1]) * UNITS[found[2].upper()])
