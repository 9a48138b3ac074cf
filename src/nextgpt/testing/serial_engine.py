"""The plain engine: one answer after another, by anything that can stream one. The reference for the others."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Protocol, runtime_checkable

from nextgpt.errors import NextGPTError
from nextgpt.message import Conversation, Event, Medium, ReplyFinished, Sampling
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
    """The little of a model that this engine needs."""

    def stream(self, says: Conversation, sampling: Sampling) -> Iterator[Event]:
        """Answer a conversation, event by event."""
        ...


class SerialEngine:
    """Implements :class:`~nextgpt.serve.engine.base.Engine`; it counts no tokens and embeds nothing."""

    def __init__(
        self, model: StreamingModel, name: str = "nano", settings: EngineSettings = EngineSettings()
    ) -> None:
        self.name = name
        self.modalities: tuple[str, ...] = ("text", "image", "audio", "video")
        self.is_ready = False
        self.on_stage_time = ignore_stage_time
        self._model = model
        self._settings = settings
        self._open: set[RequestHandle] = set()
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="nextgpt-serial")

    @property
    def num_unfinished(self) -> int:
        """Jobs that wait or run."""
        return len(self._open)

    def start(self) -> None:
        """Begin to work."""
        self.is_ready = True

    def submit(self, requests: Sequence[EngineRequest]) -> list[RequestHandle]:
        """Take all jobs or none. Raises :class:`Busy`."""
        if len(self._open) + len(requests) > self._settings.max_waiting:
            raise QueueFullError(len(self._open), 1)
        tickets = [self._open_handle(job) for job in requests]
        for ticket in tickets:
            self._pool.submit(self._run, ticket)
        return tickets

    async def embed(self, items: Sequence[str | Medium]) -> list[list[float]]:
        """A vector of length 1 for each item, the same for all."""
        return [[1.0, 0.0] for _ in items]

    def close(self, *, wait_s: float = 0.0) -> None:
        """Call everything off at once, and stop."""
        self.is_ready = False
        for ticket in list(self._open):
            ticket.push(EngineError("The server is stopping; the answer was called off. Try again later."))
            ticket.cancel()
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _open_handle(self, job: EngineRequest) -> RequestHandle:
        ticket = RequestHandle(job, lambda: self._open.discard(ticket))
        self._open.add(ticket)
        return ticket

    def _run(self, ticket: RequestHandle) -> None:
        try:
            with closing(self._model.stream(ticket.request.conversation, ticket.request.sampling)) as events:
                for event in events:
                    if ticket.is_cancelled:
                        return
                    self._push(ticket, event)
        except NextGPTError as error:
            ticket.push(error)
        except Exception:
            logger.exception("the model failed")
            ticket.push(EngineError("The model failed at this answer; expected none of the kind. Try again."))

    def _push(self, ticket: RequestHandle, event: Event) -> None:
        if isinstance(event, ReplyFinished):
            ticket.push(
                RequestOutput(event.reply, prompt_tokens=0, completion_tokens=0, finish_reason="stop")
            )
        else:
            ticket.push(event)
