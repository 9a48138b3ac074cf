from __future__ import annotations

from pathlib import Path

import pytest

from nextgpt.evaluate import work
from nextgpt.evaluate.case import Attempt, Case
from nextgpt.evaluate.players import BATCH
from nextgpt.evaluate.suite import CASES_FOR_ONE, fitting_workers
from nextgpt.evaluate.work import TRUTH, Unit, play
from nextgpt.miniworld.language import Dialogue, Shown, Turn
from nextgpt.miniworld.scene import Placed, Scene

DRAW = Turn("text_to_image", ("Draw.",), (Shown(Scene((Placed("cat"),), "grass")),))


def cases(count: int, turns: int = 1) -> list[Case]:
    return [
        Case("source", Dialogue((DRAW,) * turns), seed, is_every_turn_asked=True) for seed in range(count)
    ]


def test_all_cases_are_played_and_come_back_in_their_order() -> None:
    asked = {"one": cases(BATCH + 3), "other": cases(2, turns=2)}
    told: list[tuple[str, int, int]] = []
    played = play(
        [(TRUTH, "one"), (TRUTH, "other")], asked, Path(), workers=1, tell=lambda *stage: told.append(stage)
    )
    assert {
        source: [attempt.case for attempt in attempts] for (_, source), attempts in played.items()
    } == asked
    assert told == [
        ("one (truth)", BATCH, BATCH + 3),
        ("one (truth)", BATCH + 3, BATCH + 3),
        ("other (truth)", 4, 4),
    ]


def test_long_units_begin_first_and_results_stay_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    from concurrent.futures import ThreadPoolExecutor

    begun: list[int] = []

    def do(unit: Unit) -> list[Attempt]:
        begun.append(unit.turns)
        return [Attempt(case, ()) for case in unit.cases]

    def pool(workers: int, context: object, **settings: object) -> ThreadPoolExecutor:
        return ThreadPoolExecutor(max_workers=1)

    monkeypatch.setattr(work, "ProcessPoolExecutor", pool)
    monkeypatch.setattr(work, "_do", do)
    asked = {"short": cases(1), "long": cases(2, turns=3), "middle": cases(2)}
    pairs = [(TRUTH, source) for source in asked]
    played = play(pairs, asked, Path(), workers=2, tell=lambda *stage: None)
    assert begun == [6, 2, 1]
    assert [[attempt.case for attempt in attempts] for attempts in played.values()] == list(asked.values())


@pytest.mark.slow
def test_processes_find_what_one_finds() -> None:
    asked = {"source": cases(BATCH + 1)}
    one, two = (play([(TRUTH, "source")], asked, Path(), workers=n, tell=lambda *_: None) for n in (1, 2))
    assert [[answer.seen for answer in a.answers] for a in one[TRUTH, "source"]] == [
        [answer.seen for answer in a.answers] for a in two[TRUTH, "source"]
    ]


def test_few_cases_are_no_work_for_many() -> None:
    assert fitting_workers(CASES_FOR_ONE) == 1 <= fitting_workers(CASES_FOR_ONE + 1)
