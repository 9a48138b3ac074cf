"""The rows of the benchmark, and the run of all of them."""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from nextgpt.bench.ours import Ours
from nextgpt.bench.process import cold_start_s, peak_memory_mib
from nextgpt.bench.race import Measured, Race, run
from nextgpt.bench.reference import Reference
from nextgpt.bench.workload import pictures

Tell = Callable[[str, int, int], None]
"""Told what is being measured, how many runs are done, and how many there are."""


@dataclass(frozen=True)
class Results:
    """What was measured, and where."""

    model: str
    machine: str
    rows: tuple[Measured, ...]

    def as_values(self) -> dict[str, Any]:
        """As ``nextgpt bench --json`` prints it."""
        rows = [
            {k: round(v, 5) if isinstance(v, float) else v for k, v in asdict(row).items()}
            for row in self.rows
        ]
        return {"model": self.model, "machine": self.machine, "rows": rows}


def bench(name: str, *, runs: int = 5, tell: Tell = lambda *_: None) -> Results:
    """Measure a model beside the plain reference. Raises :class:`~nextgpt.errors.ModelError`: no such model."""
    from nextgpt.model.folder import locate

    rows = [run(race, partial(tell, race.name)) for race in races(locate(name), runs)]
    return Results(name, machine(), tuple(rows))


def races(home: Path, runs: int) -> Iterator[Race]:
    """All rows; fresh processes first, while this one is small."""
    few = max(1, runs // 2)
    yield Race("cold_start", "s", *_each(cold_start_s, home), runs=few)
    yield Race("peak_memory", "MiB", *_each(peak_memory_mib, home), runs=1, warm_ups=0)
    ours, reference = Ours(home), Reference(home)
    held = ours.converse(next(pictures()))
    yield Race("first_token", "s", ours.first_token_s, reference.first_token_s, runs)
    yield Race("token", "s", partial(ours.token_s, held[-1]), partial(reference.token_s, held[-1]), runs)
    for modality in ours.model.config.synthesizers:
        yield Race(
            modality, "s", partial(ours.medium_s, modality), partial(reference.medium_s, modality), runs
        )
    yield Race("turn", "s", ours.turn_s, partial(reference.turn_s, held), few)
    yield Race("batch_of_8", "s", ours.eight_together_s, ours.eight_singly_s, few)


def _each(measure: Callable[..., float], home: Path) -> tuple[Callable[[], float], Callable[[], float]]:
    return partial(measure, "ours", home), partial(measure, "reference", home)


def machine() -> str:
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
