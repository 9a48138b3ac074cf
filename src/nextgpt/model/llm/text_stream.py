"""Token ids to words while they are spoken: whole characters only, and nothing that may become a stop string."""

from __future__ import annotations

from collections.abc import Callable

UNFINISHED = "\ufffd"
"""What a decoder writes for bytes that are no whole character yet."""


class TextStream:
    """The words of one stretch of text.

    Args:
        decode: Token ids to text.
        stop: Strings at which the text ends; they are not part of it.
    """

    def __init__(self, decode: Callable[[list[int]], str], stop: tuple[str, ...] = ()) -> None:
        self._decode = decode
        self._stop = stop
        self._ids: list[int] = []
        self._settled = 0
        """Ids of which the words are known; the last few of them are decoded again for their spaces."""
        self._context = 0
        self._before = ""
        """The words of those few."""
        self._given = 0
        self.text = ""
        """All words so far, those held back included."""
        self.is_stopped = False

    def add(self, token_id: int) -> str:
        """Hear one more token; give the words that have become sure, often none."""
        self._ids.append(token_id)
        return self._settle(is_last=False)

    def finish(self) -> str:
        """Give what was held back: nothing more will come."""
        return self._settle(is_last=True)

    def _settle(self, *, is_last: bool) -> str:
        if self.is_stopped:
            return ""
        after = self._decode(self._ids[self._context :])
        if len(after) > len(self._before) and (is_last or not after.endswith(UNFINISHED)):
            self.text += after[len(self._before) :]
            self._context, self._settled = self._settled, len(self._ids)
            self._before = self._decode(self._ids[self._context :])
            self._cut_at_stop()
        sure = len(self.text) if is_last or self.is_stopped else len(self.text) - self._maybe_stop()
        words, self._given = self.text[self._given : sure], max(sure, self._given)
        return words

    def _cut_at_stop(self) -> None:
        found = [position for position in map(self.text.find, self._stop) if position >= 0]
        if found:
            self.text, self.is_stopped = self.text[: min(found)], True

    def _maybe_stop(self) -> int:
        """Length of the longest end of the text with which a stop string begins."""
        return max(
            (size for stop in self._stop for size in range(1, len(stop)) if self.text.endswith(stop[:size])),
            default=0,
        )
