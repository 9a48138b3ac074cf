"""Several generators of tensor work at once, each on its share of the cores.

Where layers take microseconds, two cores share one of them badly: two networks on one core each are done sooner than
one after the other on both.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from queue import SimpleQueue
from threading import Event
from typing import TypeVar

import torch

Item = TypeVar("Item")


def at_once(works: Sequence[Callable[[], Iterator[Item]]], threads: int) -> Iterator[Item]:
    """Yield what all ``works`` yield, as it comes; those that find no thread free begin when another ends.

    Closing the iterator ends each work after the item at hand. What one of them raises ends all, and is raised here.

    Args:
        works: Make the generators; each is run in inference mode.
        threads: Threads of torch for all together; 1 runs one work after the other, in the caller's own thread.
    """
    workers = min(len(works), threads)
    if workers < 2:
        for work in works:
            yield from work()
        return
    before = torch.get_num_threads()
    told: SimpleQueue[tuple[Item, ...] | BaseException | None] = SimpleQueue()
    is_over = Event()

    def run(work: Callable[[], Iterator[Item]]) -> None:
        torch.set_num_threads(threads // workers)  # of this thread
        try:
            with torch.inference_mode():
                for item in work():
                    told.put((item,))
                    if is_over.is_set():
                        break
            told.put(None)
        except BaseException as error:  # whatever it is, it is the caller's
            told.put(error)

    pool = ThreadPoolExecutor(workers, thread_name_prefix="nextgpt-at-once")
    try:
        for work in works:
            pool.submit(run, work)
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
        pool.shutdown(cancel_futures=True)
        torch.set_num_threads(before)  # the matrix library keeps one number for all threads
