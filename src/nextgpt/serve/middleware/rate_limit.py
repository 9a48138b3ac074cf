"""Limits per client: requests per minute, and requests open at the same time."""

from __future__ import annotations

import time
from collections import Counter, OrderedDict, deque

from starlette.types import ASGIApp, Receive, Scope, Send

from nextgpt.serve.errors import ApiError
from nextgpt.serve.middleware.auth import OWNER

MAX_CLIENTS = 10_000
"""Clients whose recent requests are remembered; the longest inactive are dropped first."""


class RateLimit:
    """Answers 429 beyond the limits. A client is an API key, or an address if there are no keys."""

    def __init__(self, app: ASGIApp, *, max_per_minute: int, max_concurrent: int) -> None:
        self._app = app
        self._max_per_minute = max_per_minute
        self._max_concurrent = max_concurrent
        self._recent: OrderedDict[str, deque[float]] = OrderedDict()
        self._num_open: Counter[str] = Counter()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or raise :class:`ApiError`."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        client = scope[OWNER] or str((scope.get("client") or ("",))[0])
        self._check_rate(client)
        if self._num_open[client] >= self._max_concurrent:
            raise ApiError(
                429,
                f"{self._num_open[client]} of your requests are open; at most {self._max_concurrent} are allowed. "
                "Wait for one of them.",
                code="too_many_open_requests",
                retry_after_s=1,
            )
        self._num_open[client] += 1
        try:
            await self._app(scope, receive, send)
        finally:
            self._num_open[client] -= 1
            if not self._num_open[client]:
                del self._num_open[client]

    def _check_rate(self, client: str) -> None:
        """Count a request. Raises :class:`ApiError` beyond the limit."""
        if not self._max_per_minute:
            return
        now = time.monotonic()
        recent = self._recent.setdefault(client, deque())
        self._recent.move_to_end(client)
        while len(self._recent) > MAX_CLIENTS:
            self._recent.popitem(last=False)
        while recent and recent[0] < now - 60:
            recent.popleft()
        if len(recent) >= self._max_per_minute:
            wait_s = max(1, round(recent[0] + 60 - now))
            raise ApiError(
                429,
                f"Got more than {self._max_per_minute} requests in a minute. Try again in {wait_s} s.",
                code="rate_limit_exceeded",
                retry_after_s=wait_s,
            )
        recent.append(now)
