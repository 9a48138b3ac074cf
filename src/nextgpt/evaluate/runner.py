"""The work of a suite, in units that are done side by side: each a run of cases for one player, answered and judged.

Units do not depend on how many workers there are, so results do not either.
"""

from __future__ import annotations

import multiprocessing
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from nextgpt.config import read_config
from nextgpt.evaluate.cases import CaseResult, EvalCase
from nextgpt.evaluate.suite import ProgressCallback
from nextgpt.evaluate.systems import NextGPTSystem, OracleSystem, System, batched
from nextgpt.miniworld.judge.media_judge import recognize_media
from nextgpt.model.nextgpt import NextGPT

DIRECT, CASCADE, TRUE_CAPTION, TEXT_ONLY, ORACLE = "direct", "cascade", "true_caption", "in_words", "truth"
SystemTask = tuple[str, str]
"""A player and a source."""
ResultsBySystem = dict[SystemTask, list[CaseResult]]
"""Judged attempts."""


@dataclass(frozen=True)
class WorkUnit:
    """What one worker does at a time."""

    system: str
    task: str
    cases: tuple[EvalCase, ...]

    @property
    def turns(self) -> int:
        """How many turns are asked in all."""
        return sum(len(case.evaluated_turns) for case in self.cases)


class Worker:
    """Answers and judges; loads what its units need when they first need it.

    Args:
        home: The model's folder.
        steps: Of denoising; ``None`` means the model's own settings.
    """

    def __init__(self, home: Path, steps: int | None = None) -> None:
        self._home = home
        self._steps = steps
        self._players: dict[str, System] = {}

    def run(self, unit: WorkUnit) -> list[CaseResult]:
        """Have the unit's player answer its cases, and judge the answers."""
        if unit.system not in self._players:
            self._players[unit.system] = self._create(unit.system)
        return judge_results(self._players[unit.system].answer(unit.cases))

    def _create(self, name: str) -> System:
        if name == ORACLE:
            return OracleSystem()
        if name == DIRECT:
            return NextGPTSystem(self._model, self._steps)
        from nextgpt.evaluate.cascade import CaptionLLM, CascadeSystem, oracle_captions, text_conditioners
        from nextgpt.model.hub import resolve_component_dir

        if name == TEXT_ONLY:
            from nextgpt.evaluate.text_only import TextOnlySystem

            return TextOnlySystem(
                CaptionLLM(resolve_component_dir(read_config(self._home).llm.source, self._home))
            )
        config = self._model.config
        write = (
            CaptionLLM(resolve_component_dir(config.llm.source, self._home))
            if name == CASCADE
            else oracle_captions
        )
        return CascadeSystem(write, self._model, text_conditioners(config, self._home), self._steps)

    @cached_property
    def _model(self) -> NextGPT:
        return NextGPT.from_pretrained(self._home)


def judge_results(attempts: Sequence[CaseResult]) -> list[CaseResult]:
    """Look at all media of all answers, and say what was seen in them."""
    media = [medium for attempt in attempts for answer in attempt.answers for medium in answer.media]
    seen = iter(recognize_media(media))
    return [
        replace(
            attempt,
            answers=tuple(
                replace(answer, judged_specs=tuple(next(seen) for _ in answer.media))
                for answer in attempt.answers
            ),
        )
        for attempt in attempts
    ]


def run_cases(
    pairs: Iterable[SystemTask],
    cases: Mapping[str, Sequence[EvalCase]],
    home: Path,
    *,
    workers: int,
    tell: ProgressCallback,
    steps: int | None = None,
) -> ResultsBySystem:
    """Have each player of ``pairs`` answer the cases of its source."""
    units = [
        WorkUnit(player, source, tuple(batch)) for player, source in pairs for batch in batched(cases[source])
    ]
    found = _run_serial(units, home, steps) if workers == 1 else _run_parallel(units, home, steps, workers)
    total = _turns(units)
    attempts: dict[int, list[CaseResult]] = {}
    for index, judged in found:
        attempts[index] = judged
        pair = units[index].system, units[index].task
        tell(f"{pair[1]} ({pair[0]})", _turns([units[done] for done in attempts])[pair], total[pair])
    played: ResultsBySystem = {}
    for index, unit in enumerate(units):
        played.setdefault((unit.system, unit.task), []).extend(attempts[index])
    return played


def _turns(units: Iterable[WorkUnit]) -> Counter[SystemTask]:
    """How many turns are asked of each player by each source."""
    turns: Counter[SystemTask] = Counter()
    for unit in units:
        turns[unit.system, unit.task] += unit.turns
    return turns


def _run_serial(
    units: Sequence[WorkUnit], home: Path, steps: int | None
) -> Iterator[tuple[int, list[CaseResult]]]:
    worker = Worker(home, steps)
    for index, unit in enumerate(units):
        yield index, worker.run(unit)


def _run_parallel(
    units: Sequence[WorkUnit], home: Path, steps: int | None, workers: int
) -> Iterator[tuple[int, list[CaseResult]]]:
    """Long units first, so that no worker is left alone with one at the end."""
    threads = max(1, (os.cpu_count() or 1) // workers)
    with (
        _environment(OMP_NUM_THREADS=str(threads)),
        ProcessPoolExecutor(
            workers, multiprocessing.get_context("spawn"), initializer=_prepare, initargs=(home, steps)
        ) as pool,
    ):
        order = sorted(range(len(units)), key=lambda index: -units[index].turns)
        futures: dict[Future[list[CaseResult]], int] = {
            pool.submit(_do, units[index]): index for index in order
        }
        try:
            for future in as_completed(futures):
                yield futures[future], future.result()
        finally:
            pool.shutdown(cancel_futures=True)


_worker: Worker | None = None
"""In a process of the pool: its worker."""


def _prepare(home: Path, steps: int | None) -> None:
    global _worker
    _worker = Worker(home, steps)


def _do(unit: WorkUnit) -> list[CaseResult]:
    assert _worker is not None, "the pool prepares its processes"
    return _worker.run(unit)


@contextmanager
def _environment(**settings: str) -> Iterator[None]:
    """Settings that processes which are started meanwhile inherit: libraries read them when they are imported."""
    before = {name: os.environ.get(name) for name in settings}
    os.environ.update(settings)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
