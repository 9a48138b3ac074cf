"""Drawing the cases of a source: enough for each of its rows, the same for the same seed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from zlib import crc32

import numpy as np

from nextgpt.evaluate.cases import EvalCase
from nextgpt.evaluate.metrics import DIALOGUE, CaseFilter, Metric
from nextgpt.miniworld.language import sample_dialogue

MAX_DRAWS_PER_CASE = 60
"""How many dialogues are drawn for each case before a row has to do with fewer."""
SEED_STRIDE = 1_000_000
"""Between the seeds of answers in runs of neighbouring seeds."""


def sample_cases(rows: Sequence[Metric], *, limit: int, seed: int) -> dict[str, list[EvalCase]]:
    """Cases of every source of ``rows``, so many that each row has ``limit`` that count, equally of its sources."""
    sources = dict.fromkeys(source for row in rows for source in row.tasks)
    return {source: _of_source(source, rows, limit, seed) for source in sources}


def _of_source(source: str, rows: Sequence[Metric], limit: int, seed: int) -> list[EvalCase]:
    rng = np.random.default_rng([seed, crc32(source.encode())])
    missing: dict[CaseFilter, int] = {}
    for row in rows:
        if source in row.tasks:
            missing[row.applies_to] = max(missing.get(row.applies_to, 0), math.ceil(limit / len(row.tasks)))
    cases: list[EvalCase] = []
    for _ in range(MAX_DRAWS_PER_CASE * limit):
        case = _draw(rng, source, seed=seed * SEED_STRIDE + len(cases))
        # A case is played only if some row is still in want of it.
        wanted_by = [counts for counts, number in missing.items() if number and counts(case)]
        if wanted_by:
            cases.append(case)
            missing |= {counts: missing[counts] - 1 for counts in wanted_by}
        if not any(missing.values()):
            break
    return cases


def _draw(rng: np.random.Generator, source: str, seed: int) -> EvalCase:
    dialogue = sample_dialogue(rng, "test", task=source)
    return EvalCase(source, dialogue, seed, all_turns=source == DIALOGUE)
