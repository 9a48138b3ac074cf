"""Result of a metric: a value with its interval, the number of items, and the settings that it depends on."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

EMPTY: Mapping[str, Any] = MappingProxyType({})


@dataclass(frozen=True)
class MetricResult:
    """A value with its 95 % interval."""

    name: str
    value: float
    low: float | None
    """Lower end of the 95 % interval; None if no valid interval is known, as for FID."""
    high: float | None
    """Upper end of the 95 % interval; None as above."""
    n: int
    """Items that were scored."""
    left_out: Mapping[str, int] = field(default_factory=dict)
    """Number of items that were not scored, by reason."""
    parameters: Mapping[str, Any] = field(default_factory=dict)
    """Settings and reference values without which the value cannot be read, e.g. the floor of a FID."""
    item_values: Sequence[float] | None = field(default=None, repr=False)
    """Value of each item in input order, for paired tests; None if the metric has no value per item."""

    def with_left_out(self, left_out: Mapping[str, int]) -> MetricResult:
        """Return a copy that counts further items that were not scored."""
        counts = dict(self.left_out)
        for reason, count in left_out.items():
            counts[reason] = counts.get(reason, 0) + count
        return replace(self, left_out={reason: count for reason, count in counts.items() if count})

    def to_dict(self) -> dict[str, Any]:
        """Return JSON values without the values of the items; numbers that are not finite become None."""
        return {
            "name": self.name,
            "value": _finite(self.value),
            "low": _finite(self.low),
            "high": _finite(self.high),
            "n": self.n,
            "left_out": dict(self.left_out),
            "parameters": dict(self.parameters),
        }


def _finite(value: float | None) -> float | None:
    return float(value) if value is not None and math.isfinite(value) else None
