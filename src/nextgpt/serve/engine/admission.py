"""Admission control: a bounded number of unfinished requests, each counted until its handle closes."""

from __future__ import annotations

import itertools
import math
import threading
import time
from collections.abc import Callable, Sequence

from nextgpt.serve.engine.base import EngineError, EngineRequest, QueueFullError, RequestHandle

MAX_RETRY_S = 60


class AdmissionControl:
    """Queued and running requests.

    Args:
        max_unfinished: Maximum number of requests.
        on_closed: Called with the number of a request that finished or was cancelled, from any thread.
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
        """True if requests are refused because the engine is stopping."""
        return self._is_closed

    def admit(self, requests: Sequence[EngineRequest]) -> list[tuple[int, RequestHandle]]:
        """Give all requests a number and a handle, or none.

        Raises:
            QueueFullError: There are too many unfinished requests.
            EngineError: The engine is stopping.
        """
        if self._is_closed:
            raise EngineError("The server is stopping. Try again in a few seconds.")
        with self._lock:
            if len(self._open) + len(requests) > self._max_unfinished:
                raise QueueFullError(len(self._open), self._throughput.retry_after_s(len(self._open)))
            return [self._open_handle(request) for request in requests]

    def count_finished(self) -> None:
        """Count a finished request, for the throughput estimate."""
        self._throughput.count_finished()

    def close(self, *, wait_s: float) -> None:
        """Refuse new requests, wait up to ``wait_s`` seconds for the others, then cancel them."""
        self._is_closed = True
        deadline = time.monotonic() + wait_s
        while self._open and time.monotonic() < deadline:
            time.sleep(0.05)
        for handle in list(self._open.values()):
            handle.push(EngineError("The server is stopping; the answer was cancelled. Try again later."))
            handle.cancel()

    def _open_handle(self, request: EngineRequest) -> tuple[int, RequestHandle]:
        number = next(self._numbers)
        self._open[number] = RequestHandle(request, lambda: self._release(number))
        return number, self._open[number]

    def _release(self, number: int) -> None:
        with self._lock:
            self._open.pop(number, None)
        self._on_closed(number)


class ThroughputEstimate:
    """Moving average of the time between two finished requests, for ``Retry-After``."""

    def __init__(self) -> None:
        self._last_finished_at = time.monotonic()
        self._interval_s = 1.0

    def count_finished(self) -> None:
        """Count a finished request."""
        now = time.monotonic()
        self._interval_s += 0.1 * (min(now - self._last_finished_at, 10.0) - self._interval_s)
        self._last_finished_at = now

    def retry_after_s(self, num_unfinished: int) -> int:
        """Estimate the seconds until half of the unfinished requests are done."""
        return max(1, min(MAX_RETRY_S, math.ceil(self._interval_s * num_unfinished / 2)))
