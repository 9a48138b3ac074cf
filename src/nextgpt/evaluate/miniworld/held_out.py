"""Suite of the small world: held-out media, requested and asked about in held-out templates.

All metrics of a task share one set of answers: a requested image counts for its object and, if the request states a
place, for its place. Each row also shows the judge's accuracy: the same metric for reference answers.
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
from nextgpt.evaluate.caption_synthesizer import create_prompt_encoders
from nextgpt.evaluate.miniworld.cases import EvalCase, TurnResult
from nextgpt.evaluate.miniworld.metrics import DIALOGUE, METRICS, CaseFilter, Metric
from nextgpt.evaluate.miniworld.runner import (
    CASCADE,
    DIRECT,
    ORACLE,
    TEXT_ONLY,
    TRUE_CAPTION,
    ResultsBySystem,
    run_cases,
)
from nextgpt.evaluate.miniworld.suite import RunOptions, SampleAnswer
from nextgpt.evaluate.score import Score
from nextgpt.miniworld.language import sample_dialogue
from nextgpt.miniworld.render import render

SAMPLES_PER_TASK = 8
"""Answers per task and system on the contact sheet."""
MAX_DRAWS_PER_CASE = 60
"""Dialogues sampled per case before a metric gets fewer cases than requested."""
SEED_STRIDE = 1_000_000
"""Distance between the reply seeds of runs with consecutive seeds."""


class Miniworld:
    """Implements :class:`~nextgpt.evaluate.miniworld.suite.Suite`."""

    def __init__(self, metrics: Sequence[Metric] = METRICS) -> None:
        self._metrics = metrics

    def evaluate(
        self, model_dir: Path, options: RunOptions, *, limit: int, seed: int
    ) -> tuple[list[Score], list[SampleAnswer]]:
        """See :meth:`.suite.Suite.evaluate`."""
        if {metric.system for metric in self._metrics} & {CASCADE, TRUE_CAPTION}:
            create_prompt_encoders(read_config(model_dir), model_dir)  # fail early if one is missing
        cases = sample_cases(self._metrics, limit=limit, seed=seed)
        system_tasks = dict.fromkeys(
            (system, task) for metric in self._metrics for task in metric.tasks for system in (metric.system, ORACLE)
        )
        results = run_cases(system_tasks, cases, model_dir, options)
        return [_score(metric, results) for metric in self._metrics], list(_samples(results, self._metrics))


class TextOnlyMiniworld(Miniworld):
    """The metrics of the small world for the text-only LLM before the alignments."""

    def __init__(self) -> None:
        super().__init__([replace(metric, system=TEXT_ONLY) for metric in METRICS if metric.system == DIRECT])

    def evaluate(
        self, model_dir: Path, options: RunOptions, *, limit: int, seed: int
    ) -> tuple[list[Score], list[SampleAnswer]]:
        """See :meth:`.suite.Suite.evaluate`."""
        if options.num_inference_steps is not None:
            raise ConfigError(
                f"got --steps {options.num_inference_steps}; suite miniworld-text-only does not denoise. Omit --steps."
            )
        return super().evaluate(model_dir, options, limit=limit, seed=seed)


def sample_cases(metrics: Sequence[Metric], *, limit: int, seed: int) -> dict[str, list[EvalCase]]:
    """Sample cases by task until each metric has ``limit`` cases, spread evenly over its tasks."""
    tasks = dict.fromkeys(task for metric in metrics for task in metric.tasks)
    return {task: _sample_task_cases(task, metrics, limit, seed) for task in tasks}


def _sample_task_cases(task: str, metrics: Sequence[Metric], limit: int, seed: int) -> list[EvalCase]:
    rng = np.random.default_rng([seed, crc32(task.encode())])
    needed: dict[CaseFilter, int] = {}
    for metric in metrics:
        if task in metric.tasks:
            count = math.ceil(limit / len(metric.tasks))
            needed[metric.applies_to] = max(needed.get(metric.applies_to, 0), count)
    cases: list[EvalCase] = []
    for _ in range(MAX_DRAWS_PER_CASE * limit):
        dialogue = sample_dialogue(rng, "test", task=task)
        case = EvalCase(task, dialogue, seed * SEED_STRIDE + len(cases), all_turns=task == DIALOGUE)
        # Keep a case only if some metric still needs it.
        matches = [applies_to for applies_to, count in needed.items() if count and applies_to(case)]
        if matches:
            cases.append(case)
            needed |= {applies_to: needed[applies_to] - 1 for applies_to in matches}
        if not any(needed.values()):
            break
    return cases


def _score(metric: Metric, results: ResultsBySystem) -> Score:
    outcomes, judge_outcomes = (
        [
            metric.is_correct(result)
            for task in metric.tasks
            for result in results[system, task]
            if metric.applies_to(result.case)
        ]
        for system in (metric.system, ORACLE)
    )
    return Score.from_outcomes(metric.name, outcomes, judge_outcomes)


def _samples(results: ResultsBySystem, metrics: Sequence[Metric]) -> Iterator[SampleAnswer]:
    """Yield the first answers of each system to each task with a target medium."""
    for (system, task), task_results in results.items():
        if system == ORACLE:
            continue
        applicable = [metric for metric in metrics if metric.system == system and task in metric.tasks]
        for result in task_results[:SAMPLES_PER_TASK]:
            if not result.last.turn.target_media:
                continue
            is_correct = all(metric.is_correct(result) for metric in applicable if metric.applies_to(result.case))
            yield sample_answer(f"{task} ({system})", result.last, is_correct)


def sample_answer(group: str, result: TurnResult, is_correct: bool) -> SampleAnswer:
    """Return the first target medium of a turn with the first output of its modality."""
    target = result.turn.target_media[0]
    outputs = (medium for medium in result.media if medium.modality == target.modality)
    return SampleAnswer(group, result.turn.user_text, render(target.spec), next(outputs, None), is_correct)
