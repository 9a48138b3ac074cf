"""The jobs that an engine has taken: so many and no more, each of which leaves its place when its ticket closes."""

from __future__ import annotations

import itertools
import math
import threading
import time
from collections.abc import Callable, Sequence

from nextgpt.serve.engine.base import EngineError, EngineRequest, QueueFullError, RequestHandle

MAX_RETRY_S = 60


class AdmissionControl:
    """Room for jobs that wait or run.

    Args:
        most: How many there may be.
        on_left: Told the number of a job that was answered or called off; from any thread.
    """

    def __init__(self, max_unfinished: int, on_closed: Callable[[int], None] = lambda number: None) -> None:
        self._max_unfinished = max_unfinished
        self._on_closed = on_closed
        self._numbers = itertools.count()
        self._open: dict[int, RequestHandle] = {}
        self._lock = threading.Lock()
        self._throughput = ThroughputEstimate()
        self._is_closed = False

    def __len__(self) -> int:
        return len(self._open)

    @property
    def is_closed(self) -> bool:
        """Whether nothing more is taken."""
        return self._is_closed

    def admit(self, jobs: Sequence[EngineRequest]) -> list[tuple[int, RequestHandle]]:
        """Give all jobs a place and a number, or none. Raises :class:`Busy` or :class:`EngineError`."""
        if self._is_closed:
            raise EngineError("The server is stopping; expected it to run. Try again in a few seconds.")
        with self._lock:
            if len(self._open) + len(jobs) > self._max_unfinished:
                raise QueueFullError(len(self._open), self._throughput.seconds_for(len(self._open)))
            return [self._open_handle(job) for job in jobs]

    def count_finished(self) -> None:
        """Note that an answer is finished."""
        self._throughput.count()

    def close(self, *, wait_s: float) -> None:
        """Take nothing more; wait for what runs, then call it off."""
        self._is_closed = True
        deadline = time.monotonic() + wait_s
        while self._open and time.monotonic() < deadline:
            time.sleep(0.05)
        for ticket in list(self._open.values()):
            ticket.push(EngineError("The server is stopping; the answer was called off. Try again later."))
            ticket.cancel()

    def _open_handle(self, job: EngineRequest) -> tuple[int, RequestHandle]:
        number = next(self._numbers)
        self._open[number] = RequestHandle(job, lambda: self._release(number))
        return number, self._open[number]

    def _release(self, number: int) -> None:
        with self._lock:
            self._open.pop(number, None)
        self._on_closed(number)


class ThroughputEstimate:
    """How fast answers are finished, to say when to come back."""

    def __init__(self) -> None:
        self._last = time.monotonic()
        self._seconds = 1.0

    def count(self) -> None:
        """Note that an answer is finished."""
        now = time.monotonic()
        self._seconds += 0.1 * (min(now - self._last, 10.0) - self._seconds)
        self._last = now

    def seconds_for(self, answers: int) -> int:
        """Seconds that half of so many answers may take."""
        return max(1, min(MAX_RETRY_S, math.ceil(self._seconds * answers / 2)))
