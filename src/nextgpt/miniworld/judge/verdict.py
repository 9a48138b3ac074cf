"""What the judge says about one medium."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

from nextgpt.miniworld.scene import Content

Seen = TypeVar("Seen", bound=Content)


@dataclass(frozen=True)
class Verdict(Generic[Seen]):
    """The content that explains a medium best, and how well it does."""

    content: Seen
    unexplained: float
    """Share of what the medium shows or plays that the content does not account for: 0 for a true rendering, near 1
    for a medium that shows nothing of this world."""
