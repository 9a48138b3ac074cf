from __future__ import annotations

from pathlib import Path

import pytest

from nextgpt.evaluate import runner as work
from nextgpt.evaluate.cases import CaseResult, EvalCase
from nextgpt.evaluate.runner import ORACLE, WorkUnit, run_cases
from nextgpt.evaluate.suite import MAX_CASES_FOR_ONE_WORKER, default_num_workers
from nextgpt.evaluate.systems import BATCH_SIZE
from nextgpt.miniworld.language import Dialogue, DialogueTurn, MediaPart
from nextgpt.miniworld.specs import ObjectSpec, SceneSpec

DRAW = DialogueTurn("text_to_image", ("Draw.",), (MediaPart(SceneSpec((ObjectSpec("cat"),), "grass")),))


def cases(count: int, turns: int = 1) -> list[EvalCase]:
    return [EvalCase("source", Dialogue((DRAW,) * turns), seed, all_turns=True) for seed in range(count)]


def test_all_cases_are_played_and_come_back_in_their_order() -> None:
    asked = {"one": cases(BATCH_SIZE + 3), "other": cases(2, turns=2)}
    told: list[tuple[str, int, int]] = []
    played = run_cases(
        [(ORACLE, "one"), (ORACLE, "other")], asked, Path(), workers=1, tell=lambda *stage: told.append(stage)
    )
    assert {
        source: [attempt.case for attempt in attempts] for (_, source), attempts in played.items()
    } == asked
    assert told == [
        ("one (truth)", BATCH_SIZE, BATCH_SIZE + 3),
        ("one (truth)", BATCH_SIZE + 3, BATCH_SIZE + 3),
        ("other (truth)", 4, 4),
    ]


def test_long_units_begin_first_and_results_stay_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    from concurrent.futures import ThreadPoolExecutor

    begun: list[int] = []

    def do(unit: WorkUnit) -> list[CaseResult]:
        begun.append(unit.turns)
        return [CaseResult(case, ()) for case in unit.cases]

    def pool(workers: int, context: object, **settings: object) -> ThreadPoolExecutor:
        return ThreadPoolExecutor(max_workers=1)

    monkeypatch.setattr(work, "ProcessPoolExecutor", pool)
    monkeypatch.setattr(work, "_do", do)
    asked = {"short": cases(1), "long": cases(2, turns=3), "middle": cases(2)}
    pairs = [(ORACLE, source) for source in asked]
    played = run_cases(pairs, asked, Path(), workers=2, tell=lambda *stage: None)
    assert begun == [6, 2, 1]
    assert [[attempt.case for attempt in attempts] for attempts in played.values()] == list(asked.values())


@pytest.mark.slow
def test_processes_find_what_one_finds() -> None:
    asked = {"source": cases(BATCH_SIZE + 1)}
    one, two = (
        run_cases([(ORACLE, "source")], asked, Path(), workers=n, tell=lambda *_: None) for n in (1, 2)
    )
    assert [[answer.judged_specs for answer in a.answers] for a in one[ORACLE, "source"]] == [
        [answer.judged_specs for answer in a.answers] for a in two[ORACLE, "source"]
    ]


def test_few_cases_are_no_work_for_many() -> None:
    assert (
        default_num_workers(MAX_CASES_FOR_ONE_WORKER)
        == 1
        <= default_num_workers(MAX_CASES_FOR_ONE_WORKER + 1)
    )
