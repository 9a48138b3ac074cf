"""Replies that repeat one phrase without end, as small LLMs do in greedy decoding."""

from __future__ import annotations

from collections.abc import Sequence

MIN_REPEATS = 3
MIN_TOKENS = 30
"""Length of all repetitions together; "ha ha ha" is no loop yet."""
MAX_PERIOD = 60
"""Maximum length of the repeated phrase, in tokens."""


def ends_in_loop(ids: Sequence[int]) -> bool:
    """Return True if ``ids`` end in :data:`MIN_REPEATS` or more repetitions of a phrase, :data:`MIN_TOKENS` or longer.

    ::

        7 4 5 4 5 4 5    period 2, three repetitions: a loop if that were long enough
    """
    for period in range(1, min(MAX_PERIOD, len(ids) // MIN_REPEATS) + 1):
        if ids[-1] != ids[-1 - period]:
            continue
        length = max(period * MIN_REPEATS, MIN_TOKENS)
        tail = ids[-length:]
        if len(tail) == length and tail[period:] == tail[:-period]:
            return True
    return False
