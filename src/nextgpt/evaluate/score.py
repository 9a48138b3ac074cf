"""A row of results: a share of cases that came out right, and how far chance may have moved it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

Z_95 = 1.959964
"""Standard deviations that hold 95 % of a normal distribution."""


@dataclass(frozen=True)
class Score:
    """One row of a table of results."""

    name: str
    value: float
    low: float
    """Lower end of the 95 % interval."""
    high: float
    """Upper end of the 95 % interval."""
    cases: int
    judge: float | None
    """What the same row gives for perfect answers, judged alike; None where nothing is judged."""

    @classmethod
    def from_outcomes(cls, name: str, is_right: Sequence[bool], judge: Sequence[bool] = ()) -> Score:
        """The share of right cases; ``judge`` says the same of perfect answers to them."""
        right, cases = sum(is_right), len(is_right)
        low, high = wilson_interval(right, cases)
        return cls(name, right / max(cases, 1), low, high, cases, sum(judge) / len(judge) if judge else None)


def wilson_interval(right: int, cases: int) -> tuple[float, float]:
    """The 95 % interval of a share (Wilson 1927), which stays within 0 and 1 and holds for shares near them."""
    if cases == 0:
        return 0.0, 1.0
    share, z2 = right / cases, Z_95**2
    middle = (share + z2 / (2 * cases)) / (1 + z2 / cases)
    reach = Z_95 * math.sqrt(share * (1 - share) / cases + z2 / (4 * cases**2)) / (1 + z2 / cases)
    return max(0.0, middle - reach), min(1.0, middle + reach)
