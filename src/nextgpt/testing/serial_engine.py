"""Reference engine for tests: one request after another, with any model that can stream a reply."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Protocol, runtime_checkable

from nextgpt.errors import NextGPTError
from nextgpt.message import Conversation, Event, Medium, ReplyFinished, Sampling, Via
from nextgpt.serve.engine.base import (
    EngineError,
    EngineRequest,
    EngineSettings,
    QueueFullError,
    RequestHandle,
    RequestOutput,
    ignore_stage_time,
)

logger = logging.getLogger("nextgpt.serve")


@runtime_checkable
class StreamingModel(Protocol):
    """Interface of a model for this engine."""

    def stream(self, conversation: Conversation, sampling: Sampling, /) -> Iterator[Event]:
        """Answer a conversation, event by event."""
        ...


class SerialEngine:
    """Implements :class:`~nextgpt.serve.engine.base.Engine`; counts no tokens, and all embeddings are equal."""

    def __init__(self, model: StreamingModel, name: str = "nano", settings: EngineSettings = EngineSettings()) -> None:
        self.name = name
        self.modalities: tuple[str, ...] = ("text", "image", "audio", "video")
        self.embedding_modalities = self.modalities
        self.vias: tuple[Via, ...] = ("generate",)
        self.is_ready = False
        self.on_stage_time = ignore_stage_time
        self._model = model
        self._settings = settings
        self._open: set[RequestHandle] = set()
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="nextgpt-serial")

    @property
    def num_unfinished(self) -> int:
        """Number of queued and running requests."""
        return len(self._open)

    def start(self) -> None:
        """Start processing."""
        self.is_ready = True

    def submit(self, requests: Sequence[EngineRequest]) -> list[RequestHandle]:
        """Accept all requests or none. Raises :class:`QueueFullError`."""
        if len(self._open) + len(requests) > self._settings.max_waiting:
            raise QueueFullError(len(self._open), 1)
        handles = [self._open_handle(request) for request in requests]
        for handle in handles:
            self._pool.submit(self._run, handle)
        return handles

    async def embed(self, items: Sequence[str | Medium]) -> list[list[float]]:
        """Return the same vector of length 1 per item."""
        return [[1.0, 0.0] for _ in items]

    def close(self, *, wait_s: float = 0.0) -> None:
        """Cancel all requests at once, and stop."""
        self.is_ready = False
        for handle in list(self._open):
            handle.push(EngineError("The server is stopping; the answer was cancelled. Try again later."))
            handle.cancel()
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _open_handle(self, request: EngineRequest) -> RequestHandle:
        handle = RequestHandle(request, lambda: self._open.discard(handle))
        self._open.add(handle)
        return handle

    def _run(self, handle: RequestHandle) -> None:
        try:
            request = handle.request
            with closing(self._model.stream(request.conversation, request.sampling)) as events:
                for event in events:
                    if handle.is_cancelled:
                        return
                    handle.push(_with_output(event))
        except NextGPTError as error:
            handle.push(error)
        except Exception:
            logger.exception("the model failed")
            handle.push(EngineError("The model failed on this request. Try again."))


def _with_output(event: Event) -> Event | RequestOutput:
    if isinstance(event, ReplyFinished):
        return RequestOutput(event.reply, prompt_tokens=0, completion_tokens=0, finish_reason="stop")
    return event
