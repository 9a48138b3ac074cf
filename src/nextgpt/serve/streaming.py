"""Answers that take time: server-sent events, or one JSON answer. Both cancel the work when the client disconnects."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Coroutine, Sequence
from contextlib import aclosing
from typing import Any, TypeVar

from fastapi.sse import EventSourceResponse, format_sse_event
from pydantic import BaseModel
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from nextgpt.serve.engine.base import EngineEvent, RequestHandle

Result = TypeVar("Result")
HTTP_CLIENT_CLOSED_REQUEST = 499
"""Status of a request whose client disconnected (nginx's number); it appears in logs and metrics only."""
KEEPALIVE = format_sse_event(comment="keepalive")
DONE = format_sse_event(data_str="[DONE]")


def format_sse(payload: BaseModel, *, event: str | None = None, exclude_unset: bool = True) -> bytes:
    """Format one server-sent event, by default with the fields of ``payload`` that were set."""
    return format_sse_event(data_str=payload.model_dump_json(exclude_unset=exclude_unset), event=event)


class EventStream(EventSourceResponse):
    """Event stream that cancels its requests as soon as the client disconnects, also between two events."""

    def __init__(self, events: AsyncGenerator[bytes], handles: Sequence[RequestHandle]) -> None:
        super().__init__(events, headers={"Cache-Control": "no-cache", "X-Accel-Buffering": "no"})
        self._events = events
        self._handles = handles

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send all events, or those up to the disconnect."""
        try:
            await run_until_disconnect(asyncio.create_task(self._send_and_close(send)), receive)
        finally:
            for handle in self._handles:
                handle.cancel()

    async def _send_and_close(self, send: Send) -> None:
        async with aclosing(self._events):
            await self.stream_response(send)


async def cancel_on_disconnect(receive: Receive, work: Coroutine[Any, Any, Result]) -> Result | Response:
    """Run ``work`` until it is done or the client disconnects."""
    task = asyncio.create_task(work)
    if await run_until_disconnect(task, receive):
        return task.result()
    return Response(status_code=HTTP_CLIENT_CLOSED_REQUEST)


async def run_until_disconnect(task: asyncio.Task[Any], receive: Receive) -> bool:
    """Wait for ``task``; cancel it when the client disconnects. Return whether it completed, raise what it raised."""
    disconnect = asyncio.create_task(_wait_for_disconnect(receive))
    try:
        await asyncio.wait({task, disconnect}, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            task.result()
            return True
        return False
    finally:
        for other in (task, disconnect):
            other.cancel()
        await asyncio.gather(task, disconnect, return_exceptions=True)


async def _wait_for_disconnect(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        continue


async def merge_streams(
    handles: Sequence[RequestHandle], *, keepalive_s: float
) -> AsyncGenerator[tuple[int, EngineEvent | None]]:
    """Yield the events of several requests as they arrive, each with the index of its request.

    After ``keepalive_s`` seconds of silence the event is ``None``. Closing the iterator cancels all requests.
    """
    queue: asyncio.Queue[tuple[int, EngineEvent | Exception | None]] = asyncio.Queue()

    async def forward(index: int, handle: RequestHandle) -> None:
        try:
            async for event in handle.events():
                queue.put_nowait((index, event))
            queue.put_nowait((index, None))
        except Exception as error:
            queue.put_nowait((index, error))

    tasks = [asyncio.create_task(forward(*pair)) for pair in enumerate(handles)]
    remaining = len(tasks)
    try:
        while remaining:
            try:
                async with asyncio.timeout(keepalive_s):  # wait_for of Python 3.11 can swallow a cancellation
                    index, event = await queue.get()
            except TimeoutError:
                yield 0, None
                continue
            if isinstance(event, Exception):
                raise event
            if event is None:
                remaining -= 1
            else:
                yield index, event
    finally:
        for handle in handles:
            handle.cancel()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
