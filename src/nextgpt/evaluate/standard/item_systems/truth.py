"""Ceiling and floors: the true answer, the true answer of another item, and the unchanged source of an edit."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from nextgpt.errors import ConversationError
from nextgpt.evaluate.standard.item_systems.base import open_medium
from nextgpt.evaluate.standard.items import EvalItem
from nextgpt.message import Audio, Image, Medium, Reply, Text, Video


class TruthSystem:
    """Answers with the true media, or with the first reference text, which is then no reference of the item.

    Its score is the ceiling of a metric. Items that only state modalities get blank media of these.
    """

    def __init__(self, data: Path) -> None:
        self._data = data

    def answer(self, items: Sequence[EvalItem], seeds: Sequence[int]) -> list[Reply]:
        """See :meth:`.base.ItemSystem.answer`."""
        return [Reply(self._parts(item), seed) for item, seed in zip(items, seeds, strict=True)]

    def _parts(self, item: EvalItem) -> tuple[Text | Medium, ...]:
        if item.references:
            return (Text(item.references[0]),)
        if item.reference_media:
            return tuple(open_medium(entry, self._data) for entry in item.reference_media)
        if item.source_medium:
            raise ConversationError("no true medium in the data")
        return tuple(map(blank_medium, item.expected_modalities)) or (Text("Yes."),)


class ShuffledSystem(TruthSystem):
    """Answers with the truth of the next item; its score is the floor of a metric. Items are in random order."""

    def __init__(self, data: Path, items: Sequence[EvalItem]) -> None:
        super().__init__(data)
        self._next = {item.id: items[(index + 1) % len(items)] for index, item in enumerate(items)}

    def _parts(self, item: EvalItem) -> tuple[Text | Medium, ...]:
        other = self._next[item.id]
        if other.source_medium and not other.references and not other.reference_media:
            return (open_medium(other.source_medium, self._data),)
        return super()._parts(other)


class UnchangedSystem:
    """Answers an edit with its source medium: the value of a metric without any edit."""

    def __init__(self, data: Path) -> None:
        self._data = data

    def answer(self, items: Sequence[EvalItem], seeds: Sequence[int]) -> list[Reply]:
        """See :meth:`.base.ItemSystem.answer`."""
        return [Reply(self._parts(item), seed) for item, seed in zip(items, seeds, strict=True)]

    def _parts(self, item: EvalItem) -> tuple[Medium, ...]:
        if item.source_medium is None:
            raise ConversationError("no source medium in the data")
        return (open_medium(item.source_medium, self._data),)


def blank_medium(modality: str) -> Medium:
    """Return a black image, silence, or a black video."""
    if modality == "audio":
        return Audio(np.zeros((1, 1600), dtype=np.float32), 16_000)
    frames = np.zeros((4, 16, 16, 3), dtype=np.uint8)
    return Image(frames[0]) if modality == "image" else Video(frames, 8.0)
