"""A stream made slower than its source, without ever being behind it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import TypeVar

Item = TypeVar("Item")


async def newest(source: AsyncIterator[Item], pause_s: float) -> AsyncIterator[Item]:
    """The newest item whenever there is one, at most every ``pause_s`` seconds; the last is never left out.

    ::

        source   a b c . . . . d e
        told     a   c . . . . d   e

    What goes wrong in the source comes after what it gave; leaving early ends the source.
    """
    items: list[Item] = []
    changed = asyncio.Event()

    async def read() -> None:
        try:
            async for item in source:
                items[:] = [item]
                changed.set()
        finally:
            changed.set()

    reading = asyncio.create_task(read())
    try:
        while not reading.done() or items:
            await changed.wait()
            changed.clear()
            if items:
                yield items.pop()
                await asyncio.sleep(pause_s)
            if reading.done():
                changed.set()
        await reading
    finally:
        reading.cancel()
        with suppress(asyncio.CancelledError, Exception):
            await reading
