"""One row of a benchmark: the same work done by two, in turns, so that a noisy machine is noisy for both."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass

Measure = Callable[[], float]
"""Does the work once and tells what it took."""


@dataclass(frozen=True)
class Comparison:
    """What is measured, and by whom."""

    name: str
    unit: str
    ours: Measure
    reference: Measure
    runs: int
    warm_ups: int = 1
    """Runs before those that count: parts are loaded and memory is touched in them."""


@dataclass(frozen=True)
class ComparisonResult:
    """A row of results."""

    name: str
    value: float
    reference: float
    ratio: float
    """``reference / value``: bigger is better."""
    unit: str


def run_comparison(
    race: Comparison, advance: Callable[[int, int], None] = lambda done, total: None
) -> ComparisonResult:
    """Let both run in turns, and take the median of each."""
    samples: tuple[list[float], list[float]] = ([], [])
    total = race.warm_ups + race.runs
    for done in range(total):
        for measure, found in zip((race.ours, race.reference), samples, strict=True):
            found.append(measure())
        advance(done + 1, total)
    value, reference = (statistics.median(found[race.warm_ups :]) for found in samples)
    return ComparisonResult(race.name, value, reference, reference / value, race.unit)


def to_markdown(model: str, machine: str, rows: Sequence[ComparisonResult]) -> str:
    """Results as a table in Markdown."""
    lines = [
        f"| {row.name} | {row.value:.3g} | {row.reference:.3g} | {row.unit} | {row.ratio:.1f} × |"
        for row in rows
    ]
    heading = f"| {model} on {machine} | nextgpt | reference | unit | ratio |"
    return "\n".join([heading, "| --- | ---: | ---: | --- | ---: |", *lines]) + "\n"
