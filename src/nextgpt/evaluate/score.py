"""Score of one metric: the fraction of correct cases with its confidence interval."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

Z_95 = 1.959964
"""Standard deviations of the central 95 % of a normal distribution."""


@dataclass(frozen=True)
class Score:
    """A row of results."""

    name: str
    value: float
    low: float
    """Lower end of the 95 % interval."""
    high: float
    """Upper end of the 95 % interval."""
    cases: int
    judge: float | None
    """Value of the same metric for reference answers; None if nothing is judged."""

    @classmethod
    def from_outcomes(cls, name: str, outcomes: Sequence[bool], judge: Sequence[bool] = ()) -> Score:
        """Compute the score of a metric; ``judge`` are the outcomes of reference answers."""
        correct, cases = sum(outcomes), len(outcomes)
        low, high = wilson_interval(correct, cases)
        judge_value = sum(judge) / len(judge) if judge else None
        return cls(name, correct / max(cases, 1), low, high, cases, judge_value)


def wilson_interval(correct: int, cases: int) -> tuple[float, float]:
    """Return the 95 % Wilson score interval, which stays within 0 and 1 and is valid near both."""
    if cases == 0:
        return 0.0, 1.0
    share, z2 = correct / cases, Z_95**2
    center = (share + z2 / (2 * cases)) / (1 + z2 / cases)
    margin = Z_95 * math.sqrt(share * (1 - share) / cases + z2 / (4 * cases**2)) / (1 + z2 / cases)
    return max(0.0, center - margin), min(1.0, center + margin)
