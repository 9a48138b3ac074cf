"""Record of one answer: what a system returned for one item."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from nextgpt.evaluate.standard.items import Frozen, MediumEntry, TextEntry, media_entries
from nextgpt.message import TextJoiner


class ItemRecord(Frozen):
    """An answer: text and media in output order, or the reason why there is none."""

    id: str
    """Id of the item."""
    parts: tuple[Annotated[TextEntry | MediumEntry, Field(discriminator="type")], ...] = ()
    """Text and media; paths are relative to the folder of the system."""
    seed: int = 0
    seconds: float = 0.0
    """Wall-clock time of the batch divided by its items."""
    error: str | None = None
    """Reason of a missing answer, in one line; such items are left out of all metrics and counted."""

    @property
    def text(self) -> str:
        """Text of the answer; a line break separates what a medium separates."""
        joiner = TextJoiner()
        return "".join(
            joiner.add_text(part.text) if isinstance(part, TextEntry) else joiner.add_medium() or ""
            for part in self.parts
        )

    @property
    def media(self) -> tuple[MediumEntry, ...]:
        """Media of the answer, in output order."""
        return media_entries(self.parts)

    @property
    def modalities(self) -> tuple[str, ...]:
        """Modalities of the media, in output order."""
        return tuple(entry.type for entry in self.media)

    def first_medium(self, modality: str) -> MediumEntry | None:
        """Return the first medium of ``modality``; ``None`` if there is none."""
        return next((entry for entry in self.media if entry.type == modality), None)
