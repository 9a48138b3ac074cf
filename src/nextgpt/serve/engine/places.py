"""The jobs that an engine has taken: so many and no more, each of which leaves its place when its ticket closes."""

from __future__ import annotations

import itertools
import math
import threading
import time
from collections.abc import Callable, Sequence

from nextgpt.serve.engine.base import Busy, EngineFailure, Job, Ticket

LONGEST_RETRY_S = 60


class Places:
    """Room for jobs that wait or run.

    Args:
        most: How many there may be.
        on_left: Told the number of a job that was answered or called off; from any thread.
    """

    def __init__(self, most: int, on_left: Callable[[int], None] = lambda number: None) -> None:
        self._most = most
        self._on_left = on_left
        self._numbers = itertools.count()
        self._open: dict[int, Ticket] = {}
        self._lock = threading.Lock()
        self._pace = _Pace()
        self._is_closed = False

    def __len__(self) -> int:
        return len(self._open)

    @property
    def is_closed(self) -> bool:
        """Whether nothing more is taken."""
        return self._is_closed

    def take(self, jobs: Sequence[Job]) -> list[tuple[int, Ticket]]:
        """Give all jobs a place and a number, or none. Raises :class:`Busy` or :class:`EngineFailure`."""
        if self._is_closed:
            raise EngineFailure("The server is stopping; expected it to run. Try again in a few seconds.")
        with self._lock:
            if len(self._open) + len(jobs) > self._most:
                raise Busy(len(self._open), self._pace.seconds_for(len(self._open)))
            return [self._open_ticket(job) for job in jobs]

    def answered(self) -> None:
        """Note that an answer is finished."""
        self._pace.count()

    def close(self, *, wait_s: float) -> None:
        """Take nothing more; wait for what runs, then call it off."""
        self._is_closed = True
        deadline = time.monotonic() + wait_s
        while self._open and time.monotonic() < deadline:
            time.sleep(0.05)
        for ticket in list(self._open.values()):
            ticket.tell(EngineFailure("The server is stopping; the answer was called off. Try again later."))
            ticket.cancel()

    def _open_ticket(self, job: Job) -> tuple[int, Ticket]:
        number = next(self._numbers)
        self._open[number] = Ticket(job, lambda: self._leave(number))
        return number, self._open[number]

    def _leave(self, number: int) -> None:
        with self._lock:
            self._open.pop(number, None)
        self._on_left(number)


class _Pace:
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
        return max(1, min(LONGEST_RETRY_S, math.ceil(self._seconds * answers / 2)))
