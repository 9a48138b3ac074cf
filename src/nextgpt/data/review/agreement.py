"""Agreement of reviewers on the rows that two of them decided."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from nextgpt.data.build.review import Decision


@dataclass(frozen=True)
class ReviewSummary:
    """Progress and agreement of a review."""

    rows: int
    decided: int
    """Rows with at least one decision."""
    kept: int
    changed: int
    """Rows whose text or media somebody corrected."""
    dropped: dict[str, int] = field(default_factory=dict)
    """Dropped rows by reason; disputed ones among them."""
    pairs: int = 0
    """Rows that two people decided."""
    agreement: float | None = None
    """Fraction of the pairs with the same decision; ``None`` without pairs."""
    kappa: float | None = None
    """Cohen's kappa: agreement beyond chance; ``None`` if chance alone gives full agreement."""
    disputed: tuple[str, ...] = ()
    """Ids of rows with different decisions."""


def summarize_review(ids: Sequence[str], decisions: Sequence[Decision]) -> ReviewSummary:
    """Count decisions about the rows ``ids``; the last decision of a reviewer counts."""
    last = {(decision.id, decision.reviewer): decision for decision in decisions}
    by_row: dict[str, list[Decision]] = {name: [] for name in ids}
    for decision in last.values():
        if decision.id in by_row:
            by_row[decision.id].append(decision)
    decided = [group for group in by_row.values() if group]
    pairs = [(group[0], group[1]) for group in by_row.values() if len(group) > 1]
    disputed = tuple(name for name, group in by_row.items() if len({one.decision for one in group}) > 1)
    dropped = Counter(
        "disputed" if group[0].id in disputed else next(one.reason for one in group if one.decision == "drop")
        for group in decided
        if any(one.decision == "drop" for one in group)
    )
    same = sum(first.decision == second.decision for first, second in pairs)
    return ReviewSummary(
        rows=len(ids),
        decided=len(decided),
        kept=len(decided) - dropped.total(),
        changed=sum(any(one.messages is not None for one in group) for group in decided),
        dropped=dict(dropped),
        pairs=len(pairs),
        agreement=same / len(pairs) if pairs else None,
        kappa=_kappa(pairs),
        disputed=disputed,
    )


def _kappa(pairs: Sequence[tuple[Decision, Decision]]) -> float | None:
    if not pairs:
        return None
    observed = sum(first.decision == second.decision for first, second in pairs) / len(pairs)
    keeps = [sum(one.decision == "keep" for one in side) / len(pairs) for side in zip(*pairs, strict=True)]
    chance = keeps[0] * keeps[1] + (1 - keeps[0]) * (1 - keeps[1])
    return None if chance == 1 else (observed - chance) / (1 - chance)
