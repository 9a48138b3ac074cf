"""Incremental detokenization: emit complete characters only, and nothing that may become a stop string."""

from __future__ import annotations

from collections.abc import Callable

INCOMPLETE = "\ufffd"
"""Character that a decoder writes for an incomplete UTF-8 sequence."""


class IncrementalDetokenizer:
    """Converts the tokens of one text segment to text.

    Args:
        decode: Token ids to text.
        stop_strings: Strings that end the text; they are not part of it.
    """

    def __init__(self, decode: Callable[[list[int]], str], stop_strings: tuple[str, ...] = ()) -> None:
        self._decode = decode
        self._stop_strings = stop_strings
        self._ids: list[int] = []
        self._num_decoded = 0
        """Number of tokens with known text; the last few are decoded again as context for spaces."""
        self._context = 0
        """Index of the first context token."""
        self._context_text = ""
        self._num_emitted = 0
        self.text = ""
        """Complete text so far, including held-back text."""
        self.is_stopped = False

    def add_token(self, token_id: int) -> str:
        """Add a token; return the text that became final, often none."""
        self._ids.append(token_id)
        return self._advance(is_last=False)

    def flush(self) -> str:
        """Return the held-back text at the end of the segment."""
        return self._advance(is_last=True)

    def _advance(self, *, is_last: bool) -> str:
        if self.is_stopped:
            return ""
        decoded = self._decode(self._ids[self._context :])
        if len(decoded) > len(self._context_text) and (is_last or not decoded.endswith(INCOMPLETE)):
            self.text += decoded[len(self._context_text) :]
            self._context, self._num_decoded = self._num_decoded, len(self._ids)
            self._context_text = self._decode(self._ids[self._context :])
            self._cut_at_stop()
        is_final = is_last or self.is_stopped
        end = len(self.text) if is_final else len(self.text) - self._possible_stop_length()
        delta, self._num_emitted = self.text[self._num_emitted : end], max(end, self._num_emitted)
        return delta

    def _cut_at_stop(self) -> None:
        matches = [position for position in map(self.text.find, self._stop_strings) if position >= 0]
        if matches:
            self.text, self.is_stopped = self.text[: min(matches)], True

    def _possible_stop_length(self) -> int:
        """Return the length of the longest suffix that is the start of a stop string."""
        return max(
            (size for stop in self._stop_strings for size in range(1, len(stop)) if self.text.endswith(stop[:size])),
            default=0,
        )
