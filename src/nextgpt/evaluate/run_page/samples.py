"""Samples of a run for the page: right and wrong answers of its first system, with those of the others beside them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from nextgpt.evaluate.metrics.registry import METRICS
from nextgpt.evaluate.standard.items import EvalItem
from nextgpt.evaluate.standard.records import ItemRecord
from nextgpt.evaluate.standard.run_folder import RunFolder, read_item_scores
from nextgpt.evaluate.standard.scoring import SHUFFLED, TRUTH

DIRECT = "direct"
"""System whose answers are shown if the run has it."""
MODALITIES = "modalities"
"""Name of the choice by modalities, for runs without values per item."""


@dataclass(frozen=True)
class Sample:
    """An item with the answers of all systems."""

    item: EvalItem
    value: float | None
    """Value of the answer of the first system."""
    records: Mapping[str, ItemRecord]


@dataclass(frozen=True)
class Samples:
    """Best and worst items of one system by one metric."""

    system: str
    metric: str
    right: tuple[Sample, ...]
    wrong: tuple[Sample, ...]
    num_failed: int
    """Items without an answer."""


def choose_samples(run: RunFolder, systems: Sequence[str], count: int) -> Samples | None:
    """Return up to ``count`` best and worst answers of the first rated system; ``None`` if nothing was answered."""
    rated = [system for system in systems if system not in (TRUTH, SHUFFLED)]
    if not rated:
        return None
    system = DIRECT if DIRECT in rated else rated[0]
    answers = {name: {record.id: record for record in run.records(name)} for name in systems}
    answered = [item for item in run.items if item.id in answers[system] and answers[system][item.id].error is None]
    metric, values, sign = _item_values(run, system, answered, answers[system])
    ranked = sorted((item for item in answered if item.id in values), key=lambda item: -sign * values[item.id])
    half = min(count, (len(ranked) + 1) // 2)

    def sample(item: EvalItem) -> Sample:
        records = {name: by_id[item.id] for name, by_id in answers.items() if item.id in by_id}
        return Sample(item, values[item.id], records)

    wrong = ranked[max(half, len(ranked) - count) :]
    return Samples(
        system,
        metric,
        tuple(map(sample, ranked[:half])),
        tuple(map(sample, reversed(wrong))),
        len(run.items) - len(answered),
    )


def _item_values(
    run: RunFolder, system: str, answered: Sequence[EvalItem], records: Mapping[str, ItemRecord]
) -> tuple[str, Mapping[str, float], int]:
    """Return the first metric with different values per item, its values, and 1 if higher is better, else -1."""
    for metric, values in read_item_scores(run.path).get(system, {}).items():
        if len(set(values.values())) > 1:
            row = METRICS.get(metric)
            return metric, values, -1 if row is not None and row.better == "lower" else 1
    scores = {item.id: float(records[item.id].modalities == item.expected_modalities) for item in answered}
    return MODALITIES, scores, 1
