"""The suite of the small world: held-out contents, asked for and asked about in held-out phrasings.

One set of answers serves all rows of a source: a picture that was asked for counts for its object, and for its place
where the request says one. The judge's own worth stands beside each row: the same cases, answered perfectly.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from nextgpt.config import read_config
from nextgpt.evaluate.cascade import text_conditioners
from nextgpt.evaluate.draw import draw_cases
from nextgpt.evaluate.rows import ROWS, Row
from nextgpt.evaluate.score import Score
from nextgpt.evaluate.suite import Sample, Tell
from nextgpt.evaluate.work import CASCADE, TRUE_CAPTION, TRUTH, Played, play
from nextgpt.miniworld.render import render

SAMPLES_A_SOURCE = 8


class Miniworld:
    """Implements :class:`~nextgpt.evaluate.suite.Suite`.

    Args:
        rows: What is measured.
    """

    def __init__(self, rows: Sequence[Row] = ROWS) -> None:
        self._rows = rows

    def evaluate(
        self, home: Path, *, limit: int, seed: int, workers: int, tell: Tell, steps: int | None = None
    ) -> tuple[list[Score], list[Sample]]:
        """See :meth:`.suite.Suite.evaluate`."""
        if {row.player for row in self._rows} & {CASCADE, TRUE_CAPTION}:
            text_conditioners(read_config(home), home)  # what is missing is told before the work
        cases = draw_cases(self._rows, limit=limit, seed=seed)
        pairs = dict.fromkeys(
            (player, source) for row in self._rows for source in row.sources for player in (row.player, TRUTH)
        )
        played = play(pairs, cases, home, workers=workers, tell=tell, steps=steps)
        return [_score(row, played) for row in self._rows], list(_samples(played, self._rows))


def _score(row: Row, played: Played) -> Score:
    is_right, judge_is_right = (
        [
            row.is_right(one)
            for source in row.sources
            for one in played[player, source]
            if row.counts(one.case)
        ]
        for player in (row.player, TRUTH)
    )
    return Score.of_share(row.name, is_right, judge_is_right)


def _samples(played: Played, rows: Sequence[Row]) -> Iterator[Sample]:
    """The first answers of each player to each source that asks for a medium."""
    for (player, source), attempts in played.items():
        if player == TRUTH:
            continue
        asked = [row for row in rows if row.player == player and source in row.sources]
        for attempt in attempts[:SAMPLES_A_SOURCE]:
            if not attempt.last.turn.made:
                continue
            wanted = attempt.last.turn.made[0]
            made = (medium for medium in attempt.last.media if medium.modality == wanted.modality)
            yield Sample(
                group=f"{source} ({player})",
                words="".join(say for say in attempt.last.turn.user if isinstance(say, str)),
                truth=render(wanted.content),
                made=next(made, None),
                is_right=all(row.is_right(attempt) for row in asked if row.counts(attempt.case)),
            )
