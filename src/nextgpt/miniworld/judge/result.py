"""What the judge says about one medium."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

from nextgpt.miniworld.specs import MediaSpec

Seen = TypeVar("Seen", bound=MediaSpec)


@dataclass(frozen=True)
class JudgeResult(Generic[Seen]):
    """The content that explains a medium best, and how well it does."""

    spec: Seen
    residual: float
    """Share of what the medium shows or plays that the content does not account for: 0 for a true rendering, near 1
    for a medium that shows nothing of this world."""
