"""Batches that are sent from process to process."""

from __future__ import annotations

import pytest
import torch

from nextgpt.model.encoding.base import Features
from nextgpt.train.batch_pickle import dumps, loads


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16, torch.int64, torch.bool])
@pytest.mark.parametrize("shape", [(), (0, 3), (5,), (2, 3, 4)])
def test_tensors_come_back_equal(dtype: torch.dtype, shape: tuple[int, ...]):
    sent = {"a": torch.randint(0, 2, shape).to(dtype), "b": ("cross_entropy", Features(torch.ones(2, 3)))}
    back = loads(dumps(sent))
    assert back["a"].dtype == dtype and back["a"].shape == shape and torch.equal(back["a"], sent["a"])
    assert back["b"][0] == "cross_entropy" and torch.equal(back["b"][1].vectors, torch.ones(2, 3))


def test_what_is_sent_may_be_written_to():
    back = loads(dumps(torch.zeros(3)))
    back += 1
    assert back.tolist() == [1.0, 1.0, 1.0]


def test_a_slice_is_sent_without_what_it_was_cut_from():
    assert len(dumps(torch.zeros(100_000)[5:10])) < 1000
    assert torch.equal(loads(dumps(torch.arange(12).view(3, 4)[:, 1])), torch.tensor([1, 5, 9]))
