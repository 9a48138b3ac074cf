"""Drawing the cases of a source: enough for each of its rows, the same for the same seed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from zlib import crc32

import numpy as np

from nextgpt.evaluate.case import Case
from nextgpt.evaluate.rows import DIALOGUE, Counts, Row
from nextgpt.miniworld.language import sample_dialogue

TRIES_A_CASE = 60
"""How many dialogues are drawn for each case before a row has to do with fewer."""
SEEDS_A_RUN = 1_000_000
"""Between the seeds of answers in runs of neighbouring seeds."""


def draw_cases(rows: Sequence[Row], *, limit: int, seed: int) -> dict[str, list[Case]]:
    """Cases of every source of ``rows``, so many that each row has ``limit`` that count, equally of its sources."""
    sources = dict.fromkeys(source for row in rows for source in row.sources)
    return {source: _of_source(source, rows, limit, seed) for source in sources}


def _of_source(source: str, rows: Sequence[Row], limit: int, seed: int) -> list[Case]:
    rng = np.random.default_rng([seed, crc32(source.encode())])
    missing: dict[Counts, int] = {}
    for row in rows:
        if source in row.sources:
            missing[row.counts] = max(missing.get(row.counts, 0), math.ceil(limit / len(row.sources)))
    cases: list[Case] = []
    for _ in range(TRIES_A_CASE * limit):
        case = _draw(rng, source, seed=seed * SEEDS_A_RUN + len(cases))
        # A case is played only if some row is still in want of it.
        wanted_by = [counts for counts, number in missing.items() if number and counts(case)]
        if wanted_by:
            cases.append(case)
            missing |= {counts: missing[counts] - 1 for counts in wanted_by}
        if not any(missing.values()):
            break
    return cases


def _draw(rng: np.random.Generator, source: str, seed: int) -> Case:
    dialogue = sample_dialogue(rng, "test", task=source)
    return Case(source, dialogue, seed, is_every_turn_asked=source == DIALOGUE)
