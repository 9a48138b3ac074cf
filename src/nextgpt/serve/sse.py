"""Answers that last: a stream of events, or a wait for one; both end the work as soon as the client is gone."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Coroutine, Sequence
from contextlib import aclosing
from typing import Any, TypeVar

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from nextgpt.serve.engine.base import EngineEvent, Ticket

Result = TypeVar("Result")
CLIENT_GONE = 499
"""nginx's status for a client that closed its request; nobody reads it but the log."""
DONE = b"data: [DONE]\n\n"


def data(content: dict[str, Any], *, event: str | None = None) -> bytes:
    """One event."""
    name = f"event: {event}\n" if event else ""
    return f"{name}data: {json.dumps(content, separators=(',', ':'))}\n\n".encode()


class EventStream(Response):
    """Sends pieces as they come; closes their source when the client leaves.

    Args:
        pieces: Whole events.
        keepalive_s: Silence after which a comment says that the connection is alive.
    """

    media_type = "text/event-stream"

    def __init__(self, pieces: AsyncIterator[bytes], *, keepalive_s: float) -> None:
        super().__init__(headers={"Cache-Control": "no-cache", "X-Accel-Buffering": "no"})
        del self.headers["content-length"]
        self._pieces = pieces
        self._keepalive_s = keepalive_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send everything, or up to where the client leaves."""
        sending = asyncio.create_task(self._send(send))
        await first_of(sending, receive)

    async def _send(self, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        async with aclosing(with_keepalive(self._pieces, self._keepalive_s)) as pieces:
            async for piece in pieces:
                await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})


async def with_keepalive(pieces: AsyncIterator[bytes], seconds: float) -> AsyncIterator[bytes]:
    """``pieces``, with a comment wherever nothing comes for so long."""
    following: asyncio.Task[bytes] | None = None
    try:
        while True:
            following = following or asyncio.ensure_future(_next(pieces))
            done, _ = await asyncio.wait({following}, timeout=seconds)
            if not done:
                yield b": keepalive\n\n"
                continue
            try:
                piece = following.result()
            except StopAsyncIteration:
                return
            following = None
            yield piece
    finally:
        if following is not None and not following.done():
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)
        await pieces.aclose()


async def _next(pieces: AsyncIterator[bytes]) -> bytes:
    return await anext(pieces)


async def while_connected(receive: Receive, work: Coroutine[Any, Any, Result]) -> Result | Response:
    """Do ``work`` as long as the client waits for it."""
    task = asyncio.create_task(work)
    if await first_of(task, receive):
        return task.result()
    return Response(status_code=CLIENT_GONE)


async def first_of(task: asyncio.Task[Any], receive: Receive) -> bool:
    """Wait for the task, or cancel it when the client leaves; tell whether it ended. Raises what it raised."""
    gone = asyncio.create_task(_left(receive))
    try:
        await asyncio.wait({task, gone}, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            task.result()
            return True
        return False
    finally:
        for other in (task, gone):
            other.cancel()
        await asyncio.gather(task, gone, return_exceptions=True)


async def _left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        continue


async def merged(tickets: Sequence[Ticket]) -> AsyncIterator[tuple[int, EngineEvent]]:
    """Events of several tickets as they come, each with its ticket's place; leaving early cancels all."""
    queue: asyncio.Queue[tuple[int, EngineEvent | Exception | None]] = asyncio.Queue()

    async def listen(place: int, ticket: Ticket) -> None:
        try:
            async for event in ticket.events():
                queue.put_nowait((place, event))
            queue.put_nowait((place, None))
        except Exception as error:
            queue.put_nowait((place, error))

    tasks = [asyncio.create_task(listen(*pair)) for pair in enumerate(tickets)]
    try:
        left = len(tickets)
        while left:
            place, event = await queue.get()
            if isinstance(event, Exception):
                raise event
            if event is None:
                left -= 1
            else:
                yield place, event
    finally:
        for task, ticket in zip(tasks, tickets, strict=True):
            ticket.cancel()
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
