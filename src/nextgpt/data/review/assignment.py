"""Rows to review, their order, and which of them two people review."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path

from nextgpt.data.build.review import Decision
from nextgpt.data.build.row import BuildRow, read_rows
from nextgpt.errors import ConfigError

FILTER_FILE = "filter.jsonl"
SHARED_FRACTION = 0.1
"""Fraction of the rows that two people review."""


def read_reviewable(work: Path) -> list[BuildRow]:
    """Return the rows that the filters kept. Raises :class:`ConfigError` if there is none."""
    rows = [row for row in read_rows(work / FILTER_FILE) if row.is_kept]
    if not rows:
        raise ConfigError(f"{work} has no dialogue to review; the filters dropped all. See report.html in it.")
    return rows


def shared_ids(rows: Sequence[BuildRow], *, fraction: float = SHARED_FRACTION, seed: int = 0) -> frozenset[str]:
    """Return the ids that two people review: a random fraction, at least one."""
    ids = sorted(row.id for row in rows)
    count = min(len(ids), max(1, round(fraction * len(ids)))) if fraction > 0 else 0
    return frozenset(random.Random(seed).sample(ids, count))


def remaining_ids(
    rows: Sequence[BuildRow], decisions: Sequence[Decision], reviewer: str, shared: frozenset[str]
) -> list[str]:
    """Return what is left for a reviewer: first shared rows, then rows that nobody else has decided.

    A shared row is left until two people have decided, any other row until one has. Reviewers start at different
    places, so that two who work at the same time seldom meet.
    """
    deciders: dict[str, set[str]] = {}
    for decision in decisions:
        deciders.setdefault(decision.id, set()).add(decision.reviewer)
    wanted = {row.id: 2 if row.id in shared else 1 for row in rows}
    left = [
        name
        for name, count in wanted.items()
        if reviewer not in deciders.get(name, ()) and len(deciders.get(name, ())) < count
    ]
    random.Random(reviewer).shuffle(left)
    return sorted(left, key=lambda name: name not in shared)
