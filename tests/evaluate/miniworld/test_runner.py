from __future__ import annotations

from pathlib import Path

import pytest

from nextgpt.evaluate.miniworld import runner
from nextgpt.evaluate.miniworld.cases import CaseResult, EvalCase
from nextgpt.evaluate.miniworld.runner import ORACLE, WorkUnit, run_cases
from nextgpt.evaluate.miniworld.suite import MAX_CASES_FOR_ONE_WORKER, RunOptions, default_num_workers
from nextgpt.evaluate.miniworld.systems import BATCH_SIZE
from nextgpt.miniworld.language import Dialogue, DialogueTurn, MediaPart
from nextgpt.miniworld.specs import ObjectSpec, SceneSpec

DRAW = DialogueTurn("text_to_image", ("Draw.",), (MediaPart(SceneSpec((ObjectSpec("cat"),), "grass")),))


def cases(count: int, turns: int = 1) -> list[EvalCase]:
    return [EvalCase("source", Dialogue((DRAW,) * turns), seed, all_turns=True) for seed in range(count)]


def test_all_cases_are_played_and_come_back_in_their_order() -> None:
    task_cases = {"one": cases(BATCH_SIZE + 3), "other": cases(2, turns=2)}
    progress: list[tuple[str, int, int]] = []
    played = run_cases(
        [(ORACLE, "one"), (ORACLE, "other")],
        task_cases,
        Path(),
        RunOptions(on_progress=lambda *stage: progress.append(stage)),
    )
    assert {source: [result.case for result in results] for (_, source), results in played.items()} == task_cases
    assert progress == [
        ("one (oracle)", BATCH_SIZE, BATCH_SIZE + 3),
        ("one (oracle)", BATCH_SIZE + 3, BATCH_SIZE + 3),
        ("other (oracle)", 4, 4),
    ]


def test_long_units_begin_first_and_results_stay_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    from concurrent.futures import ThreadPoolExecutor

    begun: list[int] = []

    def do(unit: WorkUnit) -> list[CaseResult]:
        begun.append(unit.num_turns)
        return [CaseResult(case, ()) for case in unit.cases]

    def pool(workers: int, context: object, **settings: object) -> ThreadPoolExecutor:
        return ThreadPoolExecutor(max_workers=1)

    monkeypatch.setattr(runner, "ProcessPoolExecutor", pool)
    monkeypatch.setattr(runner, "_run_unit", do)
    task_cases = {"short": cases(1), "long": cases(2, turns=3), "middle": cases(2)}
    pairs = [(ORACLE, source) for source in task_cases]
    played = run_cases(pairs, task_cases, Path(), RunOptions(num_workers=2))
    assert begun == [6, 2, 1]
    assert [[result.case for result in results] for results in played.values()] == list(task_cases.values())


@pytest.mark.slow
def test_processes_find_what_one_finds() -> None:
    task_cases = {"source": cases(BATCH_SIZE + 1)}
    one, two = (run_cases([(ORACLE, "source")], task_cases, Path(), RunOptions(num_workers=n)) for n in (1, 2))
    assert [[answer.judged_specs for answer in a.turns] for a in one[ORACLE, "source"]] == [
        [answer.judged_specs for answer in a.turns] for a in two[ORACLE, "source"]
    ]


def test_few_cases_are_no_work_for_many() -> None:
    assert default_num_workers(MAX_CASES_FOR_ONE_WORKER) == 1 <= default_num_workers(MAX_CASES_FOR_ONE_WORKER + 1)
