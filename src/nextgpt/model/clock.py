"""Seconds that each step of an answer took, not counting what its reader does in between."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

Item = TypeVar("Item")


class Clock:
    """Adds up the time of named steps."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def measure(self, step: str) -> Iterator[None]:
        """Add the time that the body takes to ``step``."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[step] = self.seconds.get(step, 0.0) + time.perf_counter() - start

    def each(self, items: Iterable[Item], step: Callable[[Item], str]) -> Iterator[Item]:
        """Pass items on, and add the time that each took to come to the step that it belongs to."""
        start = time.perf_counter()
        for item in items:
            name = step(item)
            self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - start
            yield item
            start = time.perf_counter()
