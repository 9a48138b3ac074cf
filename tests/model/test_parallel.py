"""Generators that are pulled at once: all that they yield, their share of the threads, and how they end."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest
import torch

from nextgpt.model.parallel import interleave_parallel, use_all_threads


@pytest.fixture(autouse=True)
def _four_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(4)
    yield
    torch.set_num_threads(before)


def counting(name: str, end: int) -> Iterator[tuple[str, int]]:
    for number in range(end):
        yield name, number


def meeting(barrier: threading.Barrier) -> Iterator[tuple[int, bool]]:
    barrier.wait(30)  # breaks, and so fails, unless another is here at the same time
    yield torch.get_num_threads(), torch.is_inference_mode_enabled()


def test_everything_comes_and_what_one_yields_stays_in_order():
    came = list(interleave_parallel([partial(counting, name, 20) for name in "abc"], 2))
    for name in "abc":
        assert [number for whose, number in came if whose == name] == list(range(20))


def in_a_new_thread(work: Callable[[], int]) -> int:
    """What it finds where torch was not used before: the number that new threads begin with."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(work).result()


@pytest.mark.parametrize(("works", "shares"), [(2, [2, 2]), (3, [1, 1, 2]), (4, [1, 1, 1, 1])])
def test_they_share_the_threads_and_leave_them_as_they_were(works: int, shares: list[int]):
    barrier = threading.Barrier(works)
    assert sorted(interleave_parallel([partial(meeting, barrier)] * works, 4)) == [(share, True) for share in shares]
    assert torch.get_num_threads() == in_a_new_thread(torch.get_num_threads) == 4


def test_a_thread_that_begins_meanwhile_can_claim_them_all():
    def claimed() -> int:
        use_all_threads()
        return torch.get_num_threads()

    barrier = threading.Barrier(2)
    running = interleave_parallel([partial(meeting, barrier)] * 2, 2)
    next(running)
    assert in_a_new_thread(claimed) == 4
    running.close()
    assert in_a_new_thread(torch.get_num_threads) == 4


def test_while_threads_are_shared_another_call_takes_one_work_after_the_other():
    def where() -> Iterator[str]:
        yield threading.current_thread().name

    barrier = threading.Barrier(2)
    running = interleave_parallel([partial(meeting, barrier)] * 2, 2)
    next(running)
    assert set(interleave_parallel([where, where], 2)) == {threading.current_thread().name}
    running.close()
    assert threading.current_thread().name not in set(interleave_parallel([where, where], 2))


@pytest.mark.parametrize("threads", [1, 4])
def test_one_alone_and_one_thread_need_no_other_thread(threads: int):
    def where() -> Iterator[str]:
        yield threading.current_thread().name

    works = [where] if threads > 1 else [where, where]
    assert set(interleave_parallel(works, threads)) == {threading.current_thread().name}


def test_what_one_raises_is_raised_and_ends_the_others():
    def failing() -> Iterator[tuple[str, int]]:
        yield "failing", 0
        raise ValueError("broken")

    def endless() -> Iterator[tuple[str, int]]:
        while True:
            yield "endless", 0

    def later() -> Iterator[tuple[str, int]]:
        begun.set()
        yield "later", 0

    begun = threading.Event()
    with pytest.raises(ValueError, match="broken"):
        list(interleave_parallel([endless, failing, later], 2))
    assert not begun.is_set()


def test_closing_ends_each_after_the_item_at_hand_and_begins_no_other():
    ended, begun = threading.Event(), threading.Event()

    def endless() -> Iterator[int]:
        try:
            while True:
                yield 1
        finally:
            ended.set()

    def later() -> Iterator[int]:
        begun.set()
        yield 2

    running = interleave_parallel([endless, endless, later], 2)
    assert next(running) == 1
    running.close()
    assert ended.is_set() and not begun.is_set()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("nextgpt-parallel")]
