"""Suite interface and registry. To add a suite, write its class and add a row to :data:`SUITES`."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Protocol, runtime_checkable

from nextgpt.errors import ConfigError, unknown_name_message
from nextgpt.evaluate.score import Score
from nextgpt.logging import ProgressCallback
from nextgpt.message import Medium

MAX_WORKERS = 8
"""Upper bound of the default number of processes; each needs about 1 GB of memory."""
MAX_CASES_FOR_ONE_WORKER = 20
"""Cases per row up to which one process is faster than several, which have to start first."""


@dataclass(frozen=True)
class SampleAnswer:
    """An answer on the contact sheet."""

    group: str
    prompt: str
    reference: Medium
    output: Medium | None
    """Generated medium; None if there is none."""
    is_correct: bool


@dataclass(frozen=True)
class Results:
    """Results of a suite."""

    model: str
    suite: str
    scores: tuple[Score, ...]
    samples: tuple[SampleAnswer, ...]
    num_inference_steps: int | None = None
    """Denoising steps; None means the model's default."""


@dataclass(frozen=True)
class RunOptions:
    """Options of a run that do not choose its cases."""

    num_workers: int = 1
    """Processes, each with its own copy of the model."""
    on_progress: ProgressCallback = lambda *_: None
    num_inference_steps: int | None = None
    """Denoising steps; None means the model's default."""


@runtime_checkable
class Suite(Protocol):
    """Measures a model."""

    def evaluate(
        self, model_dir: Path, options: RunOptions, *, limit: int, seed: int
    ) -> tuple[list[Score], list[SampleAnswer]]:
        """Measure the model with ``limit`` cases per row.

        A suite without media raises :class:`~nextgpt.errors.ConfigError` if the number of denoising steps is set.
        """
        ...


SUITES: Mapping[str, tuple[str, str]] = {
    "miniworld": ("nextgpt.evaluate.miniworld.held_out", "Miniworld"),
    "people": ("nextgpt.evaluate.miniworld.people", "People"),
    "people-dev": ("nextgpt.evaluate.miniworld.people", "PeopleDevelopment"),
    "beyond-words": ("nextgpt.evaluate.miniworld.beyond_words", "BeyondWords"),
    "miniworld-text-only": ("nextgpt.evaluate.miniworld.held_out", "TextOnlyMiniworld"),
}
"""Module and class of each suite, imported on first use."""


def evaluate(
    model: str,
    suite: str = "miniworld",
    *,
    limit: int = 200,
    seed: int = 0,
    num_workers: int = 1,
    on_progress: ProgressCallback = lambda *_: None,
    num_inference_steps: int | None = None,
) -> Results:
    """Measure a model.

    Args:
        model: Name, folder or Hub id.
        suite: One of :data:`SUITES`.
        limit: Cases per row.
        num_workers: Processes, each with its own copy of the model. More than one are spawned, so the main module must
            be importable.
        num_inference_steps: Denoising steps for every medium; ``None`` means the model's default.

    Raises:
        ConfigError: Unknown suite, or denoising steps for a suite without media.
        ModelError: Unknown model.
    """
    from nextgpt.model.model_dir import resolve_model_dir

    if suite not in SUITES:
        raise ConfigError(unknown_name_message("suite", suite, SUITES))
    model_dir = resolve_model_dir(model)
    module, class_name = SUITES[suite]
    instance: Suite = getattr(import_module(module), class_name)()
    options = RunOptions(num_workers, on_progress, num_inference_steps)
    scores, samples = instance.evaluate(model_dir, options, limit=limit, seed=seed)
    return Results(model, suite, tuple(scores), tuple(samples), num_inference_steps)


def default_num_workers(limit: int) -> int:
    """Return one process per core, or one in all if there are few cases."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(cores, MAX_WORKERS) if limit > MAX_CASES_FOR_ONE_WORKER else 1
