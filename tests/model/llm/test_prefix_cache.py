"""The prefix cache: the longest common beginning, within a budget."""

from __future__ import annotations

import torch

from nextgpt.model.llm.key_values import KeyValues, RowKeyValues
from nextgpt.model.llm.prefix_cache import PrefixCache


def key_values(length: int) -> RowKeyValues:
    steps = torch.arange(float(length)).view(1, length, 1)
    return RowKeyValues(((steps, -steps),))


def test_the_longest_common_beginning_is_found_and_cut():
    cache = PrefixCache()
    cache.remember([1, 2, 9], key_values(3))
    cache.remember([1, 2, 3, ("digest", 0), 5], key_values(5))
    found = cache.find([1, 2, 3, ("digest", 0), 7, 8])
    assert found is not None and found.length == 4
    assert cache.find([7, 1]) is None


def test_one_position_is_always_left_to_feed():
    cache = PrefixCache()
    cache.remember([1, 2, 3], key_values(3))
    found = cache.find([1, 2, 3])
    assert found is not None and found.length == 2


def test_a_later_turn_takes_the_place_of_the_earlier():
    cache = PrefixCache()
    cache.remember([1, 2], key_values(2))
    cache.remember([1, 2, 3], key_values(3))
    assert len(cache) == 1


def test_the_oldest_is_forgotten_where_memory_ends():
    cache = PrefixCache(max_bytes=2 * key_values(3).size_bytes)
    for start in (10, 20, 30):
        cache.remember([start, 1, 2], key_values(3))
    assert len(cache) == 2
    assert cache.find([10, 1, 2]) is None and cache.find([30, 1, 2]) is not None


def test_rows_of_a_batch_come_out_as_they_went_in():
    batch = KeyValues([key_values(2), None, key_values(3)], torch.device("cpu"))
    assert batch.mask.tolist() == [[False, True, True], [False] * 3, [True] * 3]
    assert [batch.row(index).length for index in range(3)] == [2, 0, 3]
    torch.testing.assert_close(batch.row(0).layers[0][1], key_values(2).layers[0][1])
    batch.select([2])
    torch.testing.assert_close(batch.row(0).layers[0][0], key_values(3).layers[0][0])
