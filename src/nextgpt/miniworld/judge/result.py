"""Result type of the judge."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

from nextgpt.miniworld.specs import MediaSpec

Seen = TypeVar("Seen", bound=MediaSpec)


@dataclass(frozen=True)
class JudgeResult(Generic[Seen]):
    """The spec that explains a medium best, and its residual."""

    spec: Seen
    residual: float
    """Fraction of the medium's energy that the spec does not explain.

    0 for a true rendering, near 1 for a medium that contains nothing of the small world.
    """
