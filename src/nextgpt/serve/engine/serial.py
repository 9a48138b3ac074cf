"""The plain engine: one answer after another, by anything that can stream one. The reference for the others."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Protocol, runtime_checkable

from nextgpt.errors import NextGPTError
from nextgpt.message import Conversation, Event, Finished, Medium, Sampling
from nextgpt.serve.engine.base import (
    Answered,
    Busy,
    EngineFailure,
    EngineSettings,
    Job,
    Ticket,
    observe_nothing,
)

logger = logging.getLogger("nextgpt.serve")


@runtime_checkable
class Streaming(Protocol):
    """The little of a model that this engine needs."""

    def stream(self, says: Conversation, sampling: Sampling) -> Iterator[Event]:
        """Answer a conversation, event by event."""
        ...


class SerialEngine:
    """Implements :class:`~nextgpt.serve.engine.base.Engine`; it counts no tokens and embeds nothing."""

    def __init__(
        self, model: Streaming, name: str = "nano", settings: EngineSettings = EngineSettings()
    ) -> None:
        self.name = name
        self.modalities: tuple[str, ...] = ("text", "image", "audio", "video")
        self.is_ready = False
        self.observe = observe_nothing
        self._model = model
        self._settings = settings
        self._open: set[Ticket] = set()
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="nextgpt-serial")

    @property
    def waiting(self) -> int:
        """Jobs that wait or run."""
        return len(self._open)

    def start(self) -> None:
        """Begin to work."""
        self.is_ready = True

    def submit(self, jobs: Sequence[Job]) -> list[Ticket]:
        """Take all jobs or none. Raises :class:`Busy`."""
        if len(self._open) + len(jobs) > self._settings.max_waiting:
            raise Busy(len(self._open), 1)
        tickets = [self._ticket(job) for job in jobs]
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
            ticket.tell(EngineFailure("The server is stopping; the answer was called off. Try again later."))
            ticket.cancel()
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _ticket(self, job: Job) -> Ticket:
        ticket = Ticket(job, lambda: self._open.discard(ticket))
        self._open.add(ticket)
        return ticket

    def _run(self, ticket: Ticket) -> None:
        try:
            with closing(self._model.stream(ticket.job.conversation, ticket.job.sampling)) as events:
                for event in events:
                    if ticket.is_cancelled:
                        return
                    self._tell(ticket, event)
        except NextGPTError as error:
            ticket.tell(error)
        except Exception:
            logger.exception("the model failed")
            ticket.tell(
                EngineFailure("The model failed at this answer; expected none of the kind. Try again.")
            )

    def _tell(self, ticket: Ticket, event: Event) -> None:
        if isinstance(event, Finished):
            ticket.tell(Answered(event.reply, prompt_tokens=0, completion_tokens=0, finish_reason="stop"))
        else:
            ticket.tell(event)
