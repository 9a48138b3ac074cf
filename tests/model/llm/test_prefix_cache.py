"""The prefix cache: the longest common beginning, within a budget."""

from __future__ import annotations

import torch

from nextgpt.model.llm.kv_cache import BatchedKVCache, SequenceKV
from nextgpt.model.llm.prefix_cache import PrefixCache


def key_values(length: int) -> SequenceKV:
    steps = torch.arange(float(length)).view(1, length, 1)
    return SequenceKV(((steps, -steps),))


def test_the_longest_common_beginning_is_found_and_cut():
    cache = PrefixCache()
    cache.insert([1, 2, 9], key_values(3))
    cache.insert([1, 2, 3, ("digest", 0), 5], key_values(5))
    found = cache.match_prefix([1, 2, 3, ("digest", 0), 7, 8])
    assert found is not None and found.length == 4
    assert cache.match_prefix([7, 1]) is None


def test_one_position_is_always_left_to_feed():
    cache = PrefixCache()
    cache.insert([1, 2, 3], key_values(3))
    found = cache.match_prefix([1, 2, 3])
    assert found is not None and found.length == 2


def test_a_later_turn_takes_the_place_of_the_earlier():
    cache = PrefixCache()
    cache.insert([1, 2], key_values(2))
    cache.insert([1, 2, 3], key_values(3))
    assert len(cache) == 1


def test_the_oldest_is_forgotten_where_memory_ends():
    cache = PrefixCache(max_bytes=2 * key_values(3).size_bytes)
    for start in (10, 20, 30):
        cache.insert([start, 1, 2], key_values(3))
    assert len(cache) == 2
    assert cache.match_prefix([10, 1, 2]) is None and cache.match_prefix([30, 1, 2]) is not None


def test_rows_of_a_batch_come_out_as_they_went_in():
    batch = BatchedKVCache([key_values(2), None, key_values(3)], torch.device("cpu"))
    assert batch.mask.tolist() == [[False, True, True], [False] * 3, [True] * 3]
    assert [batch.extract(index).length for index in range(3)] == [2, 0, 3]
    torch.testing.assert_close(batch.extract(0).layers[0][1], key_values(2).layers[0][1])
    assert batch.select([2]) == [2]
    torch.testing.assert_close(batch.extract(0).layers[0][0], key_values(3).layers[0][0])


def rows_of(batch: BatchedKVCache, lengths: list[int]) -> list[list[float]]:
    assert [batch.extract(place).length for place in range(len(batch.mask))] == lengths
    return [batch.extract(place).layers[0][0].flatten().tolist() for place in range(len(lengths))]


def numbered(number: int, length: int) -> SequenceKV:
    steps = torch.full((1, length, 1), float(number))
    return SequenceKV(((steps, -steps),))


def test_rows_come_and_go_and_stay_what_they_are():
    batch = BatchedKVCache(
        [numbered(number, length) for number, length in ((1, 3), (2, 1), (3, 2))], torch.device("cpu")
    )
    batch.extend(torch.tensor([[True, True], [False, True], [True, True]]))
    fed = torch.tensor([[1.0, 1.0], [0.0, 2.0], [3.0, 3.0]]).view(3, 1, 2, 1)
    keys, values = batch.cache.update(fed, -fed, 0)
    assert keys.shape == values.shape == (3, 1, 5, 1)
    assert batch.select([1, 2]) == [2, 1]
    batch.append(BatchedKVCache([numbered(4, 7), numbered(5, 1)], torch.device("cpu")))
    assert rows_of(batch, [4, 2, 7, 1]) == [[3.0] * 4, [2.0] * 2, [4.0] * 7, [5.0]]


def test_places_that_are_padding_in_every_row_are_given_up():
    batch = BatchedKVCache([numbered(1, 100), numbered(2, 3)], torch.device("cpu"))
    batch.select([1])
    batch.append(BatchedKVCache([numbered(3, 2)], torch.device("cpu")))
    assert batch.mask.shape == (2, 3) and batch.cache.get_seq_length() == 3
    assert rows_of(batch, [3, 2]) == [[2.0] * 3, [3.0] * 2]
