"""What the server asks of an engine, and what comes back. Knows no HTTP and no torch."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, runtime_checkable

from nextgpt.config import Config
from nextgpt.message import Conversation, Event, Medium, Reply, Sampling


class EngineSettings(Config):
    """How much is done side by side."""

    max_running: int = 64
    """Conversations in one batch of the language model."""
    max_waiting: int = 256
    """Jobs that may wait or run; one more is refused."""
    max_media: int = 16
    """Media in one batch of a synthesizer."""
    cache_bytes: int = 512 * 2**20
    """Memory for what the language model remembers of earlier turns."""
    cache_entries: int = 128
    """Conversations that it remembers."""


@dataclass(frozen=True)
class EngineRequest:
    """One answer to be made."""

    conversation: Conversation
    sampling: Sampling
    has_previews: bool = False


@dataclass(frozen=True)
class RequestOutput:
    """Event: the answer is complete, with what it took."""

    reply: Reply
    prompt_tokens: int
    completion_tokens: int
    finish_reason: Literal["stop", "length"]
    edits: frozenset[bytes] = frozenset()
    """Digests of the media that were made by editing."""


EngineEvent = Event | RequestOutput
StageTimeCallback = Callable[[str, float], None]
"""Told the name of a stage and the seconds that it took, for metrics."""


def ignore_stage_time(stage: str, seconds: float) -> None:
    """Keep no metrics."""


class QueueFullError(Exception):
    """Too much is waiting already."""

    def __init__(self, num_unfinished: int, retry_after_s: int) -> None:
        super().__init__(
            f"{num_unfinished} answers are waiting; expected fewer, as more would wait too long. "
            f"Try again in {retry_after_s} s."
        )
        self.retry_after_s = retry_after_s


class EngineError(Exception):
    """The engine is stopping or broke; nothing of the request is to blame."""


class RequestHandle:
    """The caller's end of a job: its events as they come, and the way to call it off.

    Events are put in by the engine's threads, and taken out on the event loop that the ticket was made on.
    """

    def __init__(self, job: EngineRequest, on_closed: Callable[[], None] = lambda: None) -> None:
        self.request = job
        self._loop = asyncio.get_running_loop()
        self._events: asyncio.Queue[EngineEvent | Exception] = asyncio.Queue()
        self._cancelled = threading.Event()
        self._on_closed = on_closed
        self._closing = threading.Lock()

    @property
    def is_cancelled(self) -> bool:
        """Whether nobody waits for the answer any more."""
        return self._cancelled.is_set()

    def cancel(self) -> None:
        """Call the job off: it takes no further token or step, and its place is free at once."""
        self._cancelled.set()
        self._close()

    def push(self, event: EngineEvent | Exception) -> None:
        """Pass an event on, from any thread; an exception or :class:`RequestOutput` is the last."""
        if isinstance(event, (RequestOutput, Exception)):
            self._close()
        try:
            self._loop.call_soon_threadsafe(self._events.put_nowait, event)
        except RuntimeError:  # the loop is closed: nobody listens
            self._cancelled.set()

    async def events(self) -> AsyncIterator[EngineEvent]:
        """What happens, up to :class:`RequestOutput`; leaving early cancels. Raises what went wrong."""
        try:
            while True:
                event = await self._events.get()
                if isinstance(event, Exception):
                    raise event
                yield event
                if isinstance(event, RequestOutput):
                    return
        finally:
            self.cancel()

    async def result(self) -> RequestOutput:
        """Wait for the whole answer."""
        async for event in self.events():
            if isinstance(event, RequestOutput):
                return event
        raise EngineError("The answer broke off; expected its end. Try again.")

    def _close(self) -> None:
        with self._closing:
            closed, self._on_closed = self._on_closed, lambda: None
        closed()


@runtime_checkable
class Engine(Protocol):
    """Answers conversations, many at once."""

    name: str
    """What clients call the model."""
    on_stage_time: StageTimeCallback

    @property
    def modalities(self) -> tuple[str, ...]:
        """What can be answered."""
        ...

    @property
    def is_ready(self) -> bool:
        """Whether it answers at once."""
        ...

    @property
    def num_unfinished(self) -> int:
        """Jobs that wait or run."""
        ...

    def start(self) -> None:
        """Begin to work."""
        ...

    def submit(self, requests: Sequence[EngineRequest]) -> list[RequestHandle]:
        """Take all jobs or none. Call it on the event loop. Raises :class:`Busy` or :class:`EngineError`."""
        ...

    async def embed(self, items: Sequence[str | Medium]) -> list[list[float]]:
        """A vector of the encoder's common space for each text or medium."""
        ...

    def close(self, *, wait_s: float = 0.0) -> None:
        """Finish what is running within ``wait_s`` seconds, call off the rest, and stop."""
        ...
