"""A caption that needs a file, and the interface of classes that make files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

from nextgpt.data.build.row import Candidate

Slot = tuple[str, int]
"""Id of a row and index of a medium in it."""


@dataclass(frozen=True)
class MediumJob:
    """A caption that needs a file."""

    slot: Slot
    modality: str
    caption: str
    seed: int
    edit_source: str = ""
    """File that an edit starts from, relative to the work directory."""


@runtime_checkable
class MediaMaker(Protocol):
    """Makes files for jobs of one modality."""

    name: str
    """Everything besides the job that the files depend on; part of their cache key."""
    batch_size: int

    def make(self, jobs: Sequence[MediumJob], paths: Sequence[Path]) -> list[tuple[Candidate, ...]]:
        """Write files whose names begin with ``paths`` (without suffix); return the candidates, best first.

        Raises:
            JobFailed: No job of the batch can be done.
        """
        ...

    def remember(self, candidate: Candidate) -> None:
        """Count a chosen medium, made in this run or an earlier one."""
        ...


class JobFailed(Exception):
    """A job got no medium; its row is dropped or stays pending."""

    def __init__(self, reason: str, detail: str, *, is_final: bool) -> None:
        super().__init__(detail)
        self.reason, self.detail, self.is_final = reason, detail, is_final
