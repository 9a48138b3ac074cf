"""Prefix cache: KV states of recent conversations, so that the next turn prefills only new positions."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

from nextgpt.model.llm.kv_cache import SequenceKV


@dataclass(frozen=True, eq=False)
class _Entry:
    keys: tuple[Hashable, ...]
    """Keys per position: token ids, and (digest, k) for soft tokens."""
    kv: SequenceKV


class PrefixCache:
    """KV states of the most recent conversations.

    Args:
        max_bytes: Maximum memory of all entries.
        max_entries: Maximum number of conversations.
    """

    def __init__(self, *, max_bytes: int = 256 * 2**20, max_entries: int = 16) -> None:
        self._max_bytes = max_bytes
        self._max_entries = max_entries
        self._entries: list[_Entry] = []
        """Oldest first."""

    def match_prefix(self, keys: Sequence[Hashable]) -> SequenceKV | None:
        """Return the longest cached prefix; at least one position is left to feed, for its logits."""
        best, length = None, 0
        query = tuple(keys)
        for entry in self._entries:
            common = min(_common_prefix_length(entry.keys, query), len(query) - 1)
            if common > length:
                best, length = entry, common
        return best.kv.prefix(length) if best else None

    def insert(self, keys: Sequence[Hashable], kv: SequenceKV) -> None:
        """Store a conversation in place of its earlier turns; evict the oldest entries beyond the limits."""
        assert len(keys) == kv.length, "one key per position"
        new = _Entry(tuple(keys), kv)
        others = [old for old in self._entries if _common_prefix_length(old.keys, new.keys) < len(old.keys)]
        self._entries = [*others, new][-self._max_entries :]
        while sum(entry.kv.size_bytes for entry in self._entries) > self._max_bytes:
            self._entries.pop(0)

    def clear(self) -> None:
        """Remove all entries."""
        self._entries.clear()

    def __len__(self) -> int:
        return len(self._entries)


def _common_prefix_length(first: tuple[Hashable, ...], second: tuple[Hashable, ...]) -> int:
    """Return the length of the common prefix. Bisection: comparing slices is much faster than single keys."""
    low, high = 0, min(len(first), len(second))
    while low < high:
        middle = (low + high + 1) // 2
        if first[low:middle] == second[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low
