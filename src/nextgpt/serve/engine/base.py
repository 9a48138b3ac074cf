"""Interface between the server and an engine. Independent of HTTP and torch."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, runtime_checkable

from nextgpt.config import Config
from nextgpt.message import Conversation, Event, Medium, Reply, Sampling, Via
from nextgpt.serve.request_id import REQUEST_ID


class EngineSettings(Config):
    """Batch sizes, queue length and cache size."""

    max_running: int = 64
    """Maximum conversations in one batch of the language model."""
    max_waiting: int = 256
    """Maximum queued and running requests; more are refused."""
    max_media: int = 16
    """Maximum media in one batch of a synthesizer."""
    cache_bytes: int = 512 * 2**20
    """Memory for the prefix cache: keys and values of earlier turns."""
    cache_entries: int = 128
    """Maximum conversations in the prefix cache."""


@dataclass(frozen=True)
class EngineRequest:
    """Request for one answer."""

    conversation: Conversation
    sampling: Sampling
    has_previews: bool = False
    """True if progress events have previews."""
    via: Via = "generate"
    """Origin of the media of the answer; one of the engine's ``vias``."""
    warnings: tuple[str, ...] = ()
    """Descriptions of what was left out of the client's request; the reply repeats them."""


@dataclass(frozen=True)
class RequestOutput:
    """Event: the answer is complete."""

    reply: Reply
    prompt_tokens: int
    completion_tokens: int
    finish_reason: Literal["stop", "length"]
    edits: frozenset[bytes] = frozenset()
    """Digests of the media that are edits of earlier media."""


EngineEvent = Event | RequestOutput
StageTimeCallback = Callable[[str, float], None]
"""Called with the name of a stage and its duration in seconds, from any thread."""


def ignore_stage_time(stage: str, seconds: float) -> None:
    """Discard stage times."""


class QueueFullError(Exception):
    """The engine has too many unfinished requests."""

    def __init__(self, num_unfinished: int, retry_after_s: int) -> None:
        super().__init__(f"The queue is full ({num_unfinished} requests). Try again in {retry_after_s} s.")
        self.retry_after_s = retry_after_s


class EngineError(Exception):
    """The engine is stopping or failed; the request is not the cause."""


class RequestHandle:
    """The caller's side of a request: yields its events and can cancel it.

    The engine's threads push events; the event loop on which the handle was created receives them.
    """

    def __init__(self, request: EngineRequest, on_closed: Callable[[], None] = lambda: None) -> None:
        self.request = request
        self.request_id = REQUEST_ID.get()
        """Id of the HTTP request, for log lines of the engine's threads."""
        self._loop = asyncio.get_running_loop()
        self._events: asyncio.Queue[EngineEvent | Exception] = asyncio.Queue()
        self._cancelled = threading.Event()
        self._on_closed = on_closed
        self._close_lock = threading.Lock()

    @property
    def is_cancelled(self) -> bool:
        """True if the caller has cancelled the request."""
        return self._cancelled.is_set()

    def cancel(self) -> None:
        """Stop the request after the current token or step; its place in the queue is free at once."""
        self._cancelled.set()
        self._close()

    def push(self, event: EngineEvent | Exception) -> None:
        """Pass an event on, from any thread; an exception or :class:`RequestOutput` is the last."""
        if isinstance(event, (RequestOutput, Exception)):
            self._close()
        try:
            self._loop.call_soon_threadsafe(self._events.put_nowait, event)
        except RuntimeError:  # the event loop is closed
            self._cancelled.set()

    async def events(self) -> AsyncGenerator[EngineEvent]:
        """Yield all events up to :class:`RequestOutput`; closing the iterator early cancels. Raises errors."""
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
        """Wait for the complete answer."""
        async for event in self.events():
            if isinstance(event, RequestOutput):
                return event
        raise EngineError("The answer ended early. Try again.")

    def _close(self) -> None:
        with self._close_lock:
            on_closed, self._on_closed = self._on_closed, lambda: None
        on_closed()


@runtime_checkable
class Engine(Protocol):
    """Answers many conversations concurrently."""

    name: str
    """Name of the model for clients."""
    on_stage_time: StageTimeCallback

    @property
    def modalities(self) -> tuple[str, ...]:
        """Output modalities."""
        ...

    @property
    def embedding_modalities(self) -> tuple[str, ...]:
        """Modalities that :meth:`embed` takes; the first call may load the encoder."""
        ...

    @property
    def vias(self) -> tuple[Via, ...]:
        """Origins of media that a request may ask for."""
        ...

    @property
    def is_ready(self) -> bool:
        """True if requests are processed at once."""
        ...

    @property
    def num_unfinished(self) -> int:
        """Number of queued and running requests."""
        ...

    def start(self) -> None:
        """Start processing; return at once."""
        ...

    def submit(self, requests: Sequence[EngineRequest]) -> list[RequestHandle]:
        """Accept all requests or none, on the event loop. Raises :class:`QueueFullError` or :class:`EngineError`."""
        ...

    async def embed(self, items: Sequence[str | Medium]) -> list[list[float]]:
        """Return a vector of length 1 in the encoder's common space per text or medium."""
        ...

    def close(self, *, wait_s: float = 0.0) -> None:
        """Give running requests up to ``wait_s`` seconds, cancel the rest, and stop."""
        ...
