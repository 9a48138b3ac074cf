"""Several generators of tensor work at once, each on its share of the cores.

Where layers take microseconds, two cores share one of them badly: two networks on one core each are done sooner than
one after the other on both. Torch keeps a number of threads for each thread, but has one that new threads begin with,
and its matrix library one for all; so shares are given to one call at a time, and what was there is put back.
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
"""Held while threads are shared out."""
_total_threads: int | None = None
"""Meanwhile, the threads that were shared out."""


def use_all_threads() -> None:
    """Let the calling thread use all threads, even where it meets torch for the first time while they are shared out.

    It would begin, and stay, with the share of a worker otherwise.
    """
    if (threads := _total_threads) is not None:
        _set_threads(threads)


def interleave_parallel(tasks: Sequence[Callable[[], Iterator[Item]]], threads: int) -> Iterator[Item]:
    """Yield what all ``works`` yield, as it comes; those that find no thread free begin when another ends.

    Works go on while the reader does something else, and what they yield waits for it. Closing the iterator ends each
    work after the item at hand; what one of them raises ends all, and is raised here.

    Args:
        works: Make the generators; each is run in inference mode.
        threads: Threads of torch for all together, of which the first works get the larger shares. With 1, and while
            another call shares out threads, one work runs after the other in the caller's own thread.
    """
    workers = min(len(tasks), threads)
    if workers < 2 or not _THREADS_LOCK.acquire(blocking=False):
        for work in tasks:
            yield from work()
        return
    try:
        yield from _shared(tasks, threads, workers)
    finally:
        _THREADS_LOCK.release()


def _set_threads(threads: int) -> None:
    """Set the calling thread's number."""
    torch.get_num_threads()  # a thread's first look sets it to what new threads begin with, so that has to come before
    torch.set_num_threads(threads)


def _shared(works: Sequence[Callable[[], Iterator[Item]]], threads: int, workers: int) -> Iterator[Item]:
    global _total_threads
    before = _total_threads = torch.get_num_threads()
    told: SimpleQueue[tuple[Item, ...] | BaseException | None] = SimpleQueue()
    is_over = Event()

    def run(work: Callable[[], Iterator[Item]], share: int) -> None:
        try:
            if is_over.is_set():
                return
            _set_threads(share)
            with torch.inference_mode():
                for item in work():
                    told.put((item,))
                    if is_over.is_set():
                        break
            told.put(None)
        except BaseException as error:  # whatever it is, it is the caller's
            is_over.set()
            told.put(error)

    pool = ThreadPoolExecutor(workers, thread_name_prefix="nextgpt-at-once")
    try:
        for position, work in enumerate(works):
            pool.submit(run, work, threads // workers + (position < threads % workers))
        running = len(works)
        while running:
            match told.get():
                case None:
                    running -= 1
                case BaseException() as error:
                    raise error
                case (item,):
                    yield item
    finally:
        is_over.set()
        try:
            pool.shutdown(cancel_futures=True)
        finally:
            _total_threads = None
            torch.set_num_threads(before)
