"""The suite of the small world: held-out contents, asked for and asked about in held-out phrasings.

One set of answers serves all rows of a source: a picture that was asked for counts for its object, and for its place
where the request says one. The judge's own worth stands beside each row: the same cases, answered perfectly.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from nextgpt.config import read_config
from nextgpt.evaluate.cascade import text_conditioners
from nextgpt.evaluate.draw import sample_cases
from nextgpt.evaluate.metrics import METRICS, Metric
from nextgpt.evaluate.runner import CASCADE, ORACLE, TRUE_CAPTION, ResultsBySystem, run_cases
from nextgpt.evaluate.score import Score
from nextgpt.evaluate.suite import ProgressCallback, SampleAnswer
from nextgpt.miniworld.render import render

SAMPLES_PER_TASK = 8


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
