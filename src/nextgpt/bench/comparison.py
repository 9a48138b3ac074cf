"""One row of the benchmark: candidate and baseline alternate, so that noise affects both."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass

Measure = Callable[[], float]
"""Does the work once and returns its cost."""


@dataclass(frozen=True)
class Comparison:
    """A measurement for both systems."""

    name: str
    unit: str
    candidate: Measure
    baseline: Measure
    runs: int
    warmup_runs: int = 1
    """Runs before the measured ones, which load components and touch memory."""


@dataclass(frozen=True)
class ComparisonResult:
    """A row of results."""

    name: str
    value: float
    reference: float
    ratio: float
    """``reference / value``: larger is better."""
    unit: str


def run_comparison(
    comparison: Comparison, on_progress: Callable[[int, int], None] = lambda index, total: None
) -> ComparisonResult:
    """Run both systems alternately and compare their medians."""
    samples: tuple[list[float], list[float]] = ([], [])
    total = comparison.warmup_runs + comparison.runs
    for index in range(total):
        for measure, timings in zip((comparison.candidate, comparison.baseline), samples, strict=True):
            timings.append(measure())
        on_progress(index + 1, total)
    value, reference = (statistics.median(timings[comparison.warmup_runs :]) for timings in samples)
    return ComparisonResult(comparison.name, value, reference, reference / value, comparison.unit)


def to_markdown(model: str, machine: str, rows: Sequence[ComparisonResult]) -> str:
    """Format results as a Markdown table."""
    lines = [f"| {row.name} | {row.value:.3g} | {row.reference:.3g} | {row.unit} | {row.ratio:.1f} × |" for row in rows]
    heading = f"| {model} on {machine} | nextgpt | reference | unit | ratio |"
    return "\n".join([heading, "| --- | ---: | ---: | --- | ---: |", *lines]) + "\n"
