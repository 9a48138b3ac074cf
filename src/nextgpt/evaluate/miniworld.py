"""The suite of the small world: held-out contents, asked for and asked about in held-out phrasings.

One set of answers serves all rows of a source: a picture that was asked for counts for its object, and for its place
where the request says one. The judge's own worth stands beside each row: the same cases, answered perfectly.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from zlib import crc32

import numpy as np

from nextgpt.config import read_config
from nextgpt.errors import ConfigError
from nextgpt.evaluate.cascade import text_conditioners
from nextgpt.evaluate.cases import EvalCase
from nextgpt.evaluate.metrics import DIALOGUE, METRICS, CaseFilter, Metric
from nextgpt.evaluate.runner import (
    CASCADE,
    DIRECT,
    ORACLE,
    TEXT_ONLY,
    TRUE_CAPTION,
    ResultsBySystem,
    run_cases,
)
from nextgpt.evaluate.score import Score
from nextgpt.evaluate.suite import ProgressCallback, SampleAnswer
from nextgpt.miniworld.language import sample_dialogue
from nextgpt.miniworld.render import render

SAMPLES_PER_TASK = 8
MAX_DRAWS_PER_CASE = 60
"""How many dialogues are drawn for each case before a row has to do with fewer."""
SEED_STRIDE = 1_000_000
"""Between the seeds of answers in runs of neighbouring seeds."""


class Miniworld:
    """Implements :class:`~nextgpt.evaluate.suite.Suite`.

    Args:
        rows: What is measured.
    """

    def __init__(self, rows: Sequence[Metric] = METRICS) -> None:
        self._rows = rows

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
        """See :meth:`.suite.Suite.evaluate`."""
        if {row.system for row in self._rows} & {CASCADE, TRUE_CAPTION}:
            text_conditioners(read_config(home), home)  # what is missing is told before the work
        cases = sample_cases(self._rows, limit=limit, seed=seed)
        pairs = dict.fromkeys(
            (player, source) for row in self._rows for source in row.tasks for player in (row.system, ORACLE)
        )
        played = run_cases(pairs, cases, home, workers=workers, tell=tell, steps=steps)
        return [_score(row, played) for row in self._rows], list(_samples(played, self._rows))


class TextOnlyMiniworld(Miniworld):
    """The suite of the small world, answered by the language model before the alignments, in words."""

    def __init__(self) -> None:
        super().__init__([replace(row, system=TEXT_ONLY) for row in METRICS if row.system == DIRECT])

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
        """See :meth:`.suite.Suite.evaluate`."""
        if steps is not None:
            raise ConfigError(
                f"--steps {steps} came; expected none, as words are not denoised. Leave it out."
            )
        return super().evaluate(home, limit=limit, seed=seed, workers=workers, tell=tell)


def sample_cases(rows: Sequence[Metric], *, limit: int, seed: int) -> dict[str, list[EvalCase]]:
    """Cases of every source of ``rows``, so many that each row has ``limit`` that count, equally of its sources."""
    sources = dict.fromkeys(source for row in rows for source in row.tasks)
    return {source: _of_source(source, rows, limit, seed) for source in sources}


def _of_source(source: str, rows: Sequence[Metric], limit: int, seed: int) -> list[EvalCase]:
    rng = np.random.default_rng([seed, crc32(source.encode())])
    missing: dict[CaseFilter, int] = {}
    for row in rows:
        if source in row.tasks:
            missing[row.applies_to] = max(missing.get(row.applies_to, 0), math.ceil(limit / len(row.tasks)))
    cases: list[EvalCase] = []
    for _ in range(MAX_DRAWS_PER_CASE * limit):
        case = _draw(rng, source, seed=seed * SEED_STRIDE + len(cases))
        # A case is played only if some row is still in want of it.
        wanted_by = [counts for counts, number in missing.items() if number and counts(case)]
        if wanted_by:
            cases.append(case)
            missing |= {counts: missing[counts] - 1 for counts in wanted_by}
        if not any(missing.values()):
            break
    return cases


def _draw(rng: np.random.Generator, source: str, seed: int) -> EvalCase:
    dialogue = sample_dialogue(rng, "test", task=source)
    return EvalCase(source, dialogue, seed, all_turns=source == DIALOGUE)


def _score(row: Metric, played: ResultsBySystem) -> Score:
    is_right, judge_is_right = (
        [
            row.is_correct(one)
            for source in row.tasks
            for one in played[player, source]
            if row.applies_to(one.case)
        ]
        for player in (row.system, ORACLE)
    )
    return Score.from_outcomes(row.name, is_right, judge_is_right)


def _samples(played: ResultsBySystem, rows: Sequence[Metric]) -> Iterator[SampleAnswer]:
    """The first answers of each player to each source that asks for a medium."""
    for (player, source), attempts in played.items():
        if player == ORACLE:
            continue
        asked = [row for row in rows if row.system == player and source in row.tasks]
        for attempt in attempts[:SAMPLES_PER_TASK]:
            if not attempt.last.turn.target_media:
                continue
            wanted = attempt.last.turn.target_media[0]
            made = (medium for medium in attempt.last.media if medium.modality == wanted.modality)
            yield SampleAnswer(
                group=f"{source} ({player})",
                prompt="".join(say for say in attempt.last.turn.user if isinstance(say, str)),
                reference=render(wanted.spec),
                output=next(made, None),
                is_correct=all(row.is_correct(attempt) for row in asked if row.applies_to(attempt.case)),
            )
