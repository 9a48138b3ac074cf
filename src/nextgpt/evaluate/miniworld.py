"""The suite of the small world: held-out contents, asked for and asked about in held-out phrasings.

One set of answers serves all rows of a source: a picture that was asked for counts for its object, and for its place
where the request says one. The judge's own worth stands beside each row: the same cases, answered perfectly.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from nextgpt.evaluate.case import Attempt, Case
from nextgpt.evaluate.draw import draw_cases
from nextgpt.evaluate.judging import judge
from nextgpt.evaluate.players import Direct, Player, Truth, turns_in
from nextgpt.evaluate.rows import ROWS, Row
from nextgpt.evaluate.score import Score
from nextgpt.evaluate.suite import Sample, Tell
from nextgpt.miniworld.render import render
from nextgpt.model.nextgpt import NextGPT

SAMPLES_A_SOURCE = 8
TRUTH = "truth"
"""The player that answers as it should."""

Played = Mapping[tuple[str, str], Sequence[Attempt]]
"""Judged attempts by player and source."""


class Miniworld:
    """Implements :class:`~nextgpt.evaluate.suite.Suite`.

    Args:
        rows: What is measured.
    """

    def __init__(self, rows: Sequence[Row] = ROWS) -> None:
        self._rows = rows

    def evaluate(
        self, model: NextGPT, home: Path, *, limit: int, seed: int, tell: Tell
    ) -> tuple[list[Score], list[Sample]]:
        """See :meth:`.suite.Suite.evaluate`."""
        players = create_players(model, home, {row.player for row in self._rows})
        cases = draw_cases(self._rows, limit=limit, seed=seed)
        played = self._play(players, cases, tell)
        return [_score(row, played) for row in self._rows], list(_samples(played, self._rows))

    def _play(self, players: Mapping[str, Player], cases: Mapping[str, Sequence[Case]], tell: Tell) -> Played:
        """Each source by the players of its rows, and by the truth."""
        pairs = dict.fromkeys(
            (player, source) for row in self._rows for source in row.sources for player in (row.player, TRUTH)
        )
        return {
            (player, source): _play_one(players[player], cases[source], f"{source} ({player})", tell)
            for player, source in pairs
        }


def create_players(model: NextGPT, home: Path, names: set[str]) -> dict[str, Player]:
    """Players by name, ``truth`` among them. Raises :class:`~nextgpt.errors.ModelError` where parts are missing."""
    players: dict[str, Player] = {TRUTH: Truth()}
    if "direct" in names:
        players["direct"] = Direct(model)
    if names & {"cascade", "true_caption"}:
        from nextgpt.evaluate.cascade import Captioned, CaptionWriter, true_words
        from nextgpt.model.parts import find_folder

        players["cascade"] = Captioned(CaptionWriter(find_folder(model.config.llm.source, home)), model, home)
        players["true_caption"] = Captioned(true_words, model, home)
    return players


def _play_one(player: Player, cases: Sequence[Case], what: str, tell: Tell) -> list[Attempt]:
    done, total = 0, turns_in(cases)

    def advance(turns: int) -> None:
        nonlocal done
        done += turns
        tell(what, done, total)

    tell(what, 0, total)
    return judge(player.play(cases, advance))


def _score(row: Row, played: Played) -> Score:
    is_right, judge_is_right = (
        [row.is_right(one) for source in row.sources for one in played[player, source] if row.counts(one.case)]
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
