"""All rows of the benchmark."""

from __future__ import annotations

import platform
from collections.abc import Callable, Collection, Iterator
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from nextgpt.bench.baseline import Baseline
from nextgpt.bench.candidate import Candidate
from nextgpt.bench.comparison import Comparison, ComparisonResult, run_comparison
from nextgpt.bench.process import cold_start_s, peak_memory_mib
from nextgpt.bench.workload import unseen_images
from nextgpt.errors import ConfigError, unknown_name_message
from nextgpt.logging import ProgressCallback

ROW_NAMES = ("cold_start", "peak_memory", "first_token", "token", "image", "audio", "video", "turn", "batch_of_8")


@dataclass(frozen=True)
class Results:
    """Results with model and machine."""

    model: str
    machine: str
    rows: tuple[ComparisonResult, ...]

    def to_dict(self) -> dict[str, Any]:
        """Convert to the object that ``nextgpt bench --json`` prints."""
        rows = [{k: round(v, 5) if isinstance(v, float) else v for k, v in asdict(row).items()} for row in self.rows]
        return {"model": self.model, "machine": self.machine, "rows": rows}


def bench(
    name: str, *, runs: int = 5, row_names: Collection[str] = (), on_progress: ProgressCallback = lambda *_: None
) -> Results:
    """Compare a model with the baseline.

    Args:
        runs: Runs per row.
        row_names: Rows to measure; empty for all.

    Raises:
        ConfigError: A row is unknown.
        ModelError: The model is unknown.
    """
    from nextgpt.model.model_dir import resolve_model_dir

    unknown = next((row for row in row_names if row not in ROW_NAMES), None)
    if unknown is not None:
        raise ConfigError(unknown_name_message("row", unknown, ROW_NAMES))
    selected, rows = set(row_names or ROW_NAMES), []
    for comparison in all_comparisons(resolve_model_dir(name), runs):
        if comparison.name in selected:
            rows.append(run_comparison(comparison, partial(on_progress, comparison.name)))
        if len(rows) == len(selected):
            break  # later rows would load both systems into this process
    return Results(name, describe_machine(), tuple(rows))


def all_comparisons(model_dir: Path, runs: int) -> Iterator[Comparison]:
    """Yield all rows; those in fresh processes first, while this process is small."""
    slow_runs = max(1, runs // 2)
    yield Comparison("cold_start", "s", *_each(cold_start_s, model_dir), runs=slow_runs)
    yield Comparison("peak_memory", "MiB", *_each(peak_memory_mib, model_dir), runs=1, warmup_runs=0)
    candidate, baseline = Candidate(model_dir), Baseline(model_dir)
    turns = candidate.run_conversation(next(unseen_images()))
    yield Comparison("first_token", "s", candidate.first_token_s, baseline.first_token_s, runs)
    yield Comparison("token", "s", partial(candidate.token_s, turns[-1]), partial(baseline.token_s, turns[-1]), runs)
    for modality in candidate.model.config.synthesizers:
        yield Comparison(
            modality, "s", partial(candidate.medium_s, modality), partial(baseline.medium_s, modality), runs
        )
    yield Comparison("turn", "s", candidate.turn_s, partial(baseline.turn_s, turns), slow_runs)
    yield Comparison("batch_of_8", "s", candidate.batch_of_8_s, candidate.sequential_8_s, slow_runs)


def _each(measure: Callable[..., float], model_dir: Path) -> tuple[Callable[[], float], Callable[[], float]]:
    return partial(measure, "candidate", model_dir), partial(measure, "baseline", model_dir)


def describe_machine() -> str:
    """Return processor, threads and library versions."""
    import torch

    return (
        f"{_processor()}, {torch.get_num_threads()} threads, Python {platform.python_version()}, "
        f"torch {torch.__version__}"
    )


def _processor() -> str:
    information = Path("/proc/cpuinfo")
    lines = information.read_text().splitlines() if information.is_file() else []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor() or platform.machine())
