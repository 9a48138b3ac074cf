"""Memory of the decoded media of all requests, and what one request may still use."""

from __future__ import annotations

import threading
import weakref
from collections import deque
from dataclasses import dataclass

from nextgpt.message import Medium


@dataclass
class DecodingBudget:
    """Time and memory that the media of one request may still use."""

    seconds: float
    size_bytes: int


class MediaMemory:
    """Counts the bytes of decoded media, from their reservation until the objects are gone."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._num_bytes = 0
        self._freed: deque[int] = deque()  # finalizers may run anywhere, also while the lock is held
        self._lock = threading.Lock()

    @property
    def num_bytes(self) -> int:
        """Bytes that are in use."""
        with self._lock:
            while self._freed:
                self._num_bytes -= self._freed.popleft()
            return self._num_bytes

    def reserve(self, num_bytes: int) -> bool:
        """Reserve memory for a medium; return false if there is not enough."""
        with self._lock:
            while self._freed:
                self._num_bytes -= self._freed.popleft()
            if self._num_bytes + num_bytes > self._max_bytes:
                return False
            self._num_bytes += num_bytes
            return True

    def release(self, num_bytes: int) -> None:
        """Release memory that was reserved for a medium whose decoding failed."""
        self._freed.append(num_bytes)

    def release_with(self, medium: Medium, num_bytes: int) -> None:
        """Release memory when ``medium`` is garbage-collected."""
        weakref.finalize(medium, self._freed.append, num_bytes).atexit = False
