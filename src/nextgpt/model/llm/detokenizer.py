"""Token ids to words while they are spoken: whole characters only, and nothing that may become a stop string."""

from __future__ import annotations

from collections.abc import Callable

UNFINISHED = "\ufffd"
"""What a decoder writes for bytes that are no whole character yet."""


class IncrementalDetokenizer:
    """The words of one stretch of text.

    Args:
        decode: Token ids to text.
        stop: Strings at which the text ends; they are not part of it.
    """

    def __init__(self, decode: Callable[[list[int]], str], stop: tuple[str, ...] = ()) -> None:
        self._decode = decode
        self._stop = stop
        self._ids: list[int] = []
        self._num_decoded = 0
        """Ids of which the words are known; the last few of them are decoded again for their spaces."""
        self._context = 0
        self._context_text = ""
        """The words of those few."""
        self._num_emitted = 0
        self.text = ""
        """All words so far, those held back included."""
        self.is_stopped = False

    def add_token(self, token_id: int) -> str:
        """Hear one more token; give the words that have become sure, often none."""
        self._ids.append(token_id)
        return self._advance(is_last=False)

    def flush(self) -> str:
        """Give what was held back: nothing more will come."""
        return self._advance(is_last=True)

    def _advance(self, *, is_last: bool) -> str:
        if self.is_stopped:
            return ""
        after = self._decode(self._ids[self._context :])
        if len(after) > len(self._context_text) and (is_last or not after.endswith(UNFINISHED)):
            self.text += after[len(self._context_text) :]
            self._context, self._num_decoded = self._num_decoded, len(self._ids)
            self._context_text = self._decode(self._ids[self._context :])
            self._cut_at_stop()
        sure = len(self.text) if is_last or self.is_stopped else len(self.text) - self._possible_stop_length()
        words, self._num_emitted = self.text[self._num_emitted : sure], max(sure, self._num_emitted)
        return words

    def _cut_at_stop(self) -> None:
        found = [position for position in map(self.text.find, self._stop) if position >= 0]
        if found:
            self.text, self.is_stopped = self.text[: min(found)], True

    def _possible_stop_length(self) -> int:
        """Length of the longest end of the text with which a stop string begins."""
        return max(
            (size for stop in self._stop for size in range(1, len(stop)) if self.text.endswith(stop[:size])),
            default=0,
        )
