"""The rows of the benchmark, and the run of all of them."""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from nextgpt.bench.baseline import Baseline
from nextgpt.bench.candidate import Candidate
from nextgpt.bench.comparison import Comparison, ComparisonResult, run_comparison
from nextgpt.bench.process import cold_start_s, peak_memory_mib
from nextgpt.bench.workload import unseen_images

ProgressCallback = Callable[[str, int, int], None]
"""Told what is being measured, how many runs are done, and how many there are."""


@dataclass(frozen=True)
class Results:
    """What was measured, and where."""

    model: str
    machine: str
    rows: tuple[ComparisonResult, ...]

    def as_values(self) -> dict[str, Any]:
        """As ``nextgpt bench --json`` prints it."""
        rows = [
            {k: round(v, 5) if isinstance(v, float) else v for k, v in asdict(row).items()}
            for row in self.rows
        ]
        return {"model": self.model, "machine": self.machine, "rows": rows}


def bench(name: str, *, runs: int = 5, tell: ProgressCallback = lambda *_: None) -> Results:
    """Measure a model beside the plain reference. Raises :class:`~nextgpt.errors.ModelError`: no such model."""
    from nextgpt.model.loading import resolve_model_dir

    rows = [
        run_comparison(race, partial(tell, race.name))
        for race in all_comparisons(resolve_model_dir(name), runs)
    ]
    return Results(name, describe_machine(), tuple(rows))


def all_comparisons(home: Path, runs: int) -> Iterator[Comparison]:
    """All rows; fresh processes first, while this one is small."""
    few = max(1, runs // 2)
    yield Comparison("cold_start", "s", *_each(cold_start_s, home), runs=few)
    yield Comparison("peak_memory", "MiB", *_each(peak_memory_mib, home), runs=1, warm_ups=0)
    ours, reference = Candidate(home), Baseline(home)
    held = ours.converse(next(unseen_images()))
    yield Comparison("first_token", "s", ours.first_token_s, reference.first_token_s, runs)
    yield Comparison(
        "token", "s", partial(ours.token_s, held[-1]), partial(reference.token_s, held[-1]), runs
    )
    for modality in ours.model.config.synthesizers:
        yield Comparison(
            modality, "s", partial(ours.medium_s, modality), partial(reference.medium_s, modality), runs
        )
    yield Comparison("turn", "s", ours.turn_s, partial(reference.turn_s, held), few)
    yield Comparison("batch_of_8", "s", ours.eight_together_s, ours.eight_singly_s, few)


def _each(measure: Callable[..., float], home: Path) -> tuple[Callable[[], float], Callable[[], float]]:
    return partial(measure, "ours", home), partial(measure, "reference", home)


def describe_machine() -> str:
    """The machine in words: processor, cores, threads, libraries."""
    import torch

    return (
        f"{_processor()}, {torch.get_num_threads()} threads, Python {platform.python_version()}, "
        f"torch {torch.__version__}"
    )


def _processor() -> str:
    information = Path("/proc/cpuinfo")
    lines = information.read_text().splitlines() if information.is_file() else []
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, platform.processor() or platform.machine())
