"""Loops are found at their end, and lists or short repetitions are none."""

from __future__ import annotations

import pytest

from nextgpt.model.llm.loops import MAX_PERIOD, MIN_REPEATS, MIN_TOKENS, ends_in_loop


@pytest.mark.parametrize("period", [1, 7, MIN_TOKENS // MIN_REPEATS, 22, MAX_PERIOD])
def test_a_phrase_that_repeats_is_found_when_it_is_long_enough(period: int) -> None:
    length = max(period * MIN_REPEATS, MIN_TOKENS)
    ids = [900, 901, *(position % period for position in range(length))]
    assert ends_in_loop(ids)
    assert not ends_in_loop(ids[:-1])
    assert not ends_in_loop([*ids, 902])


def test_lists_and_texts_are_no_loops() -> None:
    assert not ends_in_loop([])
    assert not ends_in_loop([5, 6, 7] * 3)
    items = [token for number in range(30) for token in (5, 6, 100 + number, 7)]
    assert not ends_in_loop(items)
