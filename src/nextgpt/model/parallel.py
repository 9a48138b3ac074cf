"""Run several generators of tensor work in parallel, each on its share of torch's threads.

Small layers cannot use two cores well: two networks on one core each finish earlier than one after the other on both
cores. Torch keeps a thread count per thread plus a default for new threads, and its matrix library keeps a global one.
Therefore only one call at a time divides the threads, and it restores the previous count at its end.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from queue import SimpleQueue
from threading import Event, Lock
from typing import TypeVar

import torch

Item = TypeVar("Item")

_THREADS_LOCK = Lock()
"""Held while a call divides the threads."""
_total_threads: int | None = None
"""Thread count before the division, while it lasts."""


def use_all_threads() -> None:
    """Give the calling thread all of torch's threads, even if it first uses torch during a division.

    Otherwise it would inherit a worker's share for its lifetime.
    """
    if (threads := _total_threads) is not None:
        _set_threads(threads)


def interleave_parallel(tasks: Sequence[Callable[[], Iterator[Item]]], threads: int) -> Iterator[Item]:
    """Run generators in parallel and yield their items in order of arrival.

    Tasks run ahead of the consumer. Closing the iterator ends each task after its current item. The first exception
    ends all tasks and is raised here.

    Args:
        tasks: Functions that create the generators; each runs in inference mode. Tasks beyond the number of threads
            start when earlier ones end.
        threads: Torch threads for all tasks together. With 1, or during another call's division, the tasks run one
            after the other in the calling thread.
    """
    workers = min(len(tasks), threads)
    if workers < 2 or not _THREADS_LOCK.acquire(blocking=False):
        for task in tasks:
            yield from task()
        return
    try:
        yield from _run_in_pool(tasks, threads, workers)
    finally:
        _THREADS_LOCK.release()


def _set_threads(threads: int) -> None:
    torch.get_num_threads()  # the first call in a thread resets its count, so it has to come before the setter
    torch.set_num_threads(threads)


def _run_in_pool(tasks: Sequence[Callable[[], Iterator[Item]]], threads: int, workers: int) -> Iterator[Item]:
    global _total_threads
    before = _total_threads = torch.get_num_threads()
    queue: SimpleQueue[tuple[Item, ...] | BaseException | None] = SimpleQueue()
    is_closed = Event()

    def run(task: Callable[[], Iterator[Item]], share: int) -> None:
        try:
            if is_closed.is_set():
                return
            _set_threads(share)
            with torch.inference_mode():
                for item in task():
                    queue.put((item,))
                    if is_closed.is_set():
                        break
            queue.put(None)
        except BaseException as error:  # raised again in the calling thread
            is_closed.set()
            queue.put(error)

    pool = ThreadPoolExecutor(workers, thread_name_prefix="nextgpt-parallel")
    try:
        for position, task in enumerate(tasks):
            pool.submit(run, task, threads // workers + (position < threads % workers))
        running = len(tasks)
        while running:
            match queue.get():
                case None:
                    running -= 1
                case BaseException() as error:
                    raise error
                case (item,):
                    yield item
    finally:
        is_closed.set()
        try:
            pool.shutdown(cancel_futures=True)
        finally:
            _total_threads = None
            torch.set_num_threads(before)
