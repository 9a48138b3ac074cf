"""Evaluation runner: splits the cases into work units and runs them in one or several processes.

Work units, and so results, do not depend on the number of workers.
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
from nextgpt.evaluate.caption_llm import CaptionLLM
from nextgpt.evaluate.caption_synthesizer import CaptionSynthesizer, create_prompt_encoders
from nextgpt.evaluate.miniworld.cascade import CascadeSystem, WriteCaptions, caption_writer, oracle_captions
from nextgpt.evaluate.miniworld.cases import CaseResult, EvalCase
from nextgpt.evaluate.miniworld.suite import RunOptions
from nextgpt.evaluate.miniworld.systems import NextGPTSystem, OracleSystem, System, batched
from nextgpt.evaluate.miniworld.text_only import TextOnlySystem
from nextgpt.miniworld.judge.media_judge import recognize_media
from nextgpt.model.hub import resolve_component_dir
from nextgpt.model.nextgpt import NextGPT

DIRECT, CASCADE, TRUE_CAPTION, TEXT_ONLY, ORACLE = "direct", "cascade", "true_caption", "text_only", "oracle"
SystemTask = tuple[str, str]
"""Names of a system and of a task."""
ResultsBySystem = dict[SystemTask, list[CaseResult]]
"""Judged results."""


@dataclass(frozen=True)
class WorkUnit:
    """Cases that one worker answers in one batch."""

    system: str
    task: str
    cases: tuple[EvalCase, ...]

    @property
    def num_turns(self) -> int:
        """Return the number of evaluated turns."""
        return sum(len(case.evaluated_turns) for case in self.cases)


class Worker:
    """Answers and judges work units; creates each system on first use.

    Args:
        num_inference_steps: Denoising steps; ``None`` means the model's default.
    """

    def __init__(self, model_dir: Path, num_inference_steps: int | None = None) -> None:
        self._model_dir = model_dir
        self._num_inference_steps = num_inference_steps
        self._systems: dict[str, System] = {}

    def run(self, unit: WorkUnit) -> list[CaseResult]:
        """Answer the cases of a unit and judge the replies."""
        if unit.system not in self._systems:
            self._systems[unit.system] = self._create_system(unit.system)
        return judge_results(self._systems[unit.system].answer(unit.cases))

    def _create_system(self, name: str) -> System:
        if name == ORACLE:
            return OracleSystem()
        if name == DIRECT:
            return NextGPTSystem(self._model, self._num_inference_steps)
        if name == TEXT_ONLY:
            return TextOnlySystem(self._create_caption_writer())
        write = self._create_caption_writer() if name == CASCADE else oracle_captions
        encoders = create_prompt_encoders(self._model.config, self._model_dir)
        return CascadeSystem(write, CaptionSynthesizer(self._model, encoders, self._num_inference_steps))

    def _create_caption_writer(self) -> WriteCaptions:
        llm = read_config(self._model_dir).llm
        return caption_writer(CaptionLLM(resolve_component_dir(llm.source, self._model_dir), llm.template))

    @cached_property
    def _model(self) -> NextGPT:
        return NextGPT.from_pretrained(self._model_dir)


def judge_results(results: Sequence[CaseResult]) -> list[CaseResult]:
    """Judge all media of all replies in one batch."""
    specs = iter(recognize_media([medium for case in results for turn in case.turns for medium in turn.media]))
    return [
        replace(
            case, turns=tuple(replace(turn, judged_specs=tuple(next(specs) for _ in turn.media)) for turn in case.turns)
        )
        for case in results
    ]


def run_cases(
    system_tasks: Iterable[SystemTask], cases: Mapping[str, Sequence[EvalCase]], model_dir: Path, options: RunOptions
) -> ResultsBySystem:
    """Run each system on the cases of its task; ``cases`` are given by task."""
    units = [WorkUnit(system, task, tuple(batch)) for system, task in system_tasks for batch in batched(cases[task])]
    total = _count_turns(units)
    results: dict[int, list[CaseResult]] = {}
    run = _run_serial if options.num_workers == 1 else _run_parallel
    for index, unit_results in run(units, model_dir, options):
        results[index] = unit_results
        key = units[index].system, units[index].task
        done = _count_turns([units[number] for number in results])[key]
        options.on_progress(f"{key[1]} ({key[0]})", done, total[key])
    by_system: ResultsBySystem = {}
    for index, unit in enumerate(units):
        by_system.setdefault((unit.system, unit.task), []).extend(results[index])
    return by_system


def _count_turns(units: Iterable[WorkUnit]) -> Counter[SystemTask]:
    """Count the evaluated turns per system and task."""
    turns: Counter[SystemTask] = Counter()
    for unit in units:
        turns[unit.system, unit.task] += unit.num_turns
    return turns


def _run_serial(
    units: Sequence[WorkUnit], model_dir: Path, options: RunOptions
) -> Iterator[tuple[int, list[CaseResult]]]:
    worker = Worker(model_dir, options.num_inference_steps)
    for index, unit in enumerate(units):
        yield index, worker.run(unit)


def _run_parallel(
    units: Sequence[WorkUnit], model_dir: Path, options: RunOptions
) -> Iterator[tuple[int, list[CaseResult]]]:
    """Run the longest units first, so that no worker is left alone with one at the end."""
    threads = max(1, (os.cpu_count() or 1) // options.num_workers)
    with (
        _environment(OMP_NUM_THREADS=str(threads)),
        ProcessPoolExecutor(
            options.num_workers,
            multiprocessing.get_context("spawn"),
            initializer=_start_worker,
            initargs=(model_dir, options.num_inference_steps),
        ) as pool,
    ):
        order = sorted(range(len(units)), key=lambda index: -units[index].num_turns)
        futures: dict[Future[list[CaseResult]], int] = {pool.submit(_run_unit, units[index]): index for index in order}
        try:
            for future in as_completed(futures):
                yield futures[future], future.result()
        finally:
            pool.shutdown(cancel_futures=True)


_worker: Worker | None = None
"""Worker of this process, if it belongs to a pool."""


def _start_worker(model_dir: Path, num_inference_steps: int | None) -> None:
    global _worker
    _worker = Worker(model_dir, num_inference_steps)


def _run_unit(unit: WorkUnit) -> list[CaseResult]:
    assert _worker is not None, "the pool's initializer creates the worker"
    return _worker.run(unit)


@contextmanager
def _environment(**variables: str) -> Iterator[None]:
    """Set environment variables for processes that are started meanwhile; libraries read them at import."""
    previous = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in previous.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
