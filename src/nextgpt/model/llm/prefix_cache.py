"""Conversations that were answered lately, so that the next turn feeds only what is new."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

from nextgpt.model.llm.kv_cache import SequenceKV


@dataclass(frozen=True, eq=False)
class _Entry:
    keys: tuple[Hashable, ...]
    """One a position: a token id, or (digest, k) of a soft token."""
    key_values: SequenceKV


class PrefixCache:
    """The last few conversations' attention keys and values, within a budget of memory.

    Args:
        max_bytes: Memory that all entries together may take.
        max_entries: How many conversations are remembered.
    """

    def __init__(self, *, max_bytes: int = 256 * 2**20, max_entries: int = 16) -> None:
        self._max_bytes = max_bytes
        self._max_entries = max_entries
        self._entries: list[_Entry] = []
        """The latest last."""

    def match_prefix(self, keys: Sequence[Hashable]) -> SequenceKV | None:
        """What is known of the longest common beginning; always leaves one position to feed, for its logits."""
        best, length = None, 0
        wanted = tuple(keys)
        for entry in self._entries:
            common = min(_common_prefix_length(entry.keys, wanted), len(wanted) - 1)
            if common > length:
                best, length = entry, common
        return best.key_values.prefix(length) if best else None

    def insert(self, keys: Sequence[Hashable], key_values: SequenceKV) -> None:
        """Keep what a conversation left, in place of its earlier turns; forget the oldest where memory ends."""
        assert len(keys) == key_values.length, "one key a position"
        entry = _Entry(tuple(keys), key_values)
        kept = [old for old in self._entries if _common_prefix_length(old.keys, entry.keys) < len(old.keys)]
        self._entries = [*kept, entry][-self._max_entries :]
        while sum(old.key_values.size_bytes for old in self._entries) > self._max_bytes:
            self._entries.pop(0)

    def clear(self) -> None:
        """Forget everything."""
        self._entries.clear()

    def __len__(self) -> int:
        return len(self._entries)


def _common_prefix_length(first: tuple[Hashable, ...], second: tuple[Hashable, ...]) -> int:
    """Length of the common beginning, by bisection: comparing stretches takes no time, comparing keys in turn does."""
    low, high = 0, min(len(first), len(second))
    while low < high:
        middle = (low + high + 1) // 2
        if first[low:middle] == second[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low
