"""What a suite is, and which there are. A new one is a module with its class, and one row here."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Protocol, runtime_checkable

from nextgpt.errors import ConfigError, unknown_name_message
from nextgpt.evaluate.score import Score
from nextgpt.message import Medium

ProgressCallback = Callable[[str, int, int], None]
"""Told what is being done, how much of it is done, and how much there is."""


MAX_WORKERS = 8
"""Each takes about a gigabyte."""
MAX_CASES_FOR_ONE_WORKER = 20
"""So many cases a row one process does sooner alone."""


@dataclass(frozen=True)
class SampleAnswer:
    """One answer to look at."""

    group: str
    prompt: str
    """What was asked."""
    reference: Medium
    """What should have been made."""
    output: Medium | None
    """What was made instead; None where nothing was."""
    is_correct: bool


@dataclass(frozen=True)
class Results:
    """What a suite found."""

    model: str
    suite: str
    scores: tuple[Score, ...]
    samples: tuple[SampleAnswer, ...]
    num_inference_steps: int | None = None
    """Of denoising, where they were not the model's own."""


@runtime_checkable
class Suite(Protocol):
    """Measures a model."""

    def evaluate(
        self,
        home: Path,
        *,
        limit: int,
        seed: int,
        workers: int,
        tell: ProgressCallback,
        steps: int | None = None,
    ) -> tuple[list[Score], list[SampleAnswer]]:
        """Measure the model in the folder ``home`` with ``limit`` cases a row, by ``workers`` processes.

        ``steps`` of denoising are taken for every medium, or as many as the model's own settings say; a suite without
        media raises :class:`~nextgpt.errors.ConfigError` where they are given.
        """
        ...


SUITES: Mapping[str, tuple[str, str]] = {
    "miniworld": ("nextgpt.evaluate.miniworld", "Miniworld"),
    "miniworld-text-only": ("nextgpt.evaluate.miniworld", "TextOnlyMiniworld"),
}
"""Suites by name: module and class, imported when first needed."""


def evaluate(
    name: str,
    suite: str = "miniworld",
    *,
    limit: int = 200,
    seed: int = 0,
    workers: int = 1,
    tell: ProgressCallback = lambda *_: None,
    steps: int | None = None,
) -> Results:
    """Measure the model of that name by a suite.

    Args:
        workers: Processes that share the work, each with the model in its memory. More than one are started by
            importing the main module again, which must stand that.
        steps: Of denoising, for every medium; ``None`` means the model's own settings.

    Raises:
        ConfigError: No such suite, or steps for one that makes no media.
        ModelError: No such model.
    """
    from nextgpt.model.loading import resolve_model_dir

    if suite not in SUITES:
        raise ConfigError(unknown_name_message("suite", suite, SUITES))
    home = resolve_model_dir(name)
    module, class_name = SUITES[suite]
    chosen: Suite = getattr(import_module(module), class_name)()
    scores, samples = chosen.evaluate(home, limit=limit, seed=seed, workers=workers, tell=tell, steps=steps)
    return Results(name, suite, tuple(scores), tuple(samples), steps)


def default_num_workers(limit: int) -> int:
    """How many processes pay for so many cases a row: one a core, but few cases are done before others have begun."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(cores, MAX_WORKERS) if limit > MAX_CASES_FOR_ONE_WORKER else 1
