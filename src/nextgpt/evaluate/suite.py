"""What a suite is, and which there are. A new one is a module with its class, and one row here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Protocol, runtime_checkable

from nextgpt.errors import ConfigError, unknown
from nextgpt.evaluate.score import Score
from nextgpt.message import Medium
from nextgpt.model.nextgpt import NextGPT

Tell = Callable[[str, int, int], None]
"""Told what is being done, how much of it is done, and how much there is."""


@dataclass(frozen=True)
class Sample:
    """One answer to look at."""

    group: str
    words: str
    """What was asked."""
    truth: Medium
    """What should have been made."""
    made: Medium | None
    """What was made instead; None where nothing was."""
    is_right: bool


@dataclass(frozen=True)
class Results:
    """What a suite found."""

    model: str
    suite: str
    scores: tuple[Score, ...]
    samples: tuple[Sample, ...]


@runtime_checkable
class Suite(Protocol):
    """Measures a model."""

    def evaluate(
        self, model: NextGPT, home: Path, *, limit: int, seed: int, tell: Tell
    ) -> tuple[list[Score], list[Sample]]:
        """Measure ``model``, whose folder is ``home``, with ``limit`` cases a row."""
        ...


SUITES: Mapping[str, tuple[str, str]] = {"miniworld": ("nextgpt.evaluate.miniworld", "Miniworld")}
"""Suites by name: module and class, imported when first needed."""


def evaluate(
    name: str, suite: str = "miniworld", *, limit: int = 200, seed: int = 0, tell: Tell = lambda *_: None
) -> Results:
    """Measure the model of that name by a suite.

    Raises:
        ConfigError: No such suite.
        ModelError: No such model.
    """
    from nextgpt.model.folder import locate

    if suite not in SUITES:
        raise ConfigError(unknown("suite", suite, SUITES))
    module, class_name = SUITES[suite]
    chosen: Suite = getattr(import_module(module), class_name)()
    home = locate(name)
    scores, samples = chosen.evaluate(NextGPT.from_pretrained(name), home, limit=limit, seed=seed, tell=tell)
    return Results(name, suite, tuple(scores), tuple(samples))
