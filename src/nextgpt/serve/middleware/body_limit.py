"""Limits of request bodies: size and time of each, and size of all together. Bodies are counted while they arrive."""

from __future__ import annotations

import asyncio
import time

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from nextgpt.serve.errors import ApiError


class BodyLimit:
    """Refuses bodies that are too large or too slow."""

    def __init__(self, app: ASGIApp, *, max_bytes: int, max_total_bytes: int, timeout_s: float) -> None:
        self._app = app
        self._max_total_bytes = max_total_bytes
        self._total_bytes = 0
        self.max_bytes = max_bytes
        self.timeout_s = timeout_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on with a counted body, or raise :class:`ApiError`."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        if (encoding := headers.get("content-encoding", "identity").strip().lower()) not in ("", "identity"):
            raise ApiError(415, f"Content-Encoding is {encoding[:40]!r}; expected a plain body. Send it uncompressed.")
        length = headers.get("content-length", "0")
        if length.isdecimal() and int(length[:20]) > self.max_bytes:
            raise self.too_large()
        body = LimitedBody(self, receive)
        try:
            await self._app(scope, body.receive, send)
        finally:
            self._total_bytes -= body.size_bytes

    def reserve(self, size_bytes: int) -> None:
        """Count bytes of a body until its request is done. Raises :class:`ApiError` beyond the total limit."""
        if self._total_bytes + size_bytes > self._max_total_bytes:
            message = "The server is receiving too much data. Try again in 5 s."
            raise ApiError(429, message, code="busy", retry_after_s=5)
        self._total_bytes += size_bytes

    def too_large(self) -> ApiError:
        """Return the error for a body over the limit."""
        limit = self.max_bytes / 2**20
        return ApiError(413, f"The request is larger than {limit:.0f} MiB. Upload media to /v1/files first.")


class LimitedBody:
    """Counts one request's body while it arrives, within a deadline."""

    def __init__(self, limit: BodyLimit, receive: Receive) -> None:
        self._limit = limit
        self._receive = receive
        self._is_complete = False
        self._deadline = time.monotonic() + limit.timeout_s
        self.size_bytes = 0

    async def receive(self) -> Message:
        """Return the next message. Raises :class:`ApiError` if the body is too large or late."""
        if self._is_complete:
            return await self._receive()
        try:
            async with asyncio.timeout(max(0.001, self._deadline - time.monotonic())):
                message = await self._receive()
        except TimeoutError:
            limit_s = self._limit.timeout_s
            raise ApiError(408, f"The request was not complete within {limit_s:g} s. Try again.") from None
        if message["type"] == "http.request":
            size_bytes = len(message.get("body", b""))
            if self.size_bytes + size_bytes > self._limit.max_bytes:
                raise self._limit.too_large()
            self._limit.reserve(size_bytes)
            self.size_bytes += size_bytes
            self._is_complete = not message.get("more_body", False)
        return message
