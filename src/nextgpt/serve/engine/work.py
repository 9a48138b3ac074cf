"""One answer while it is made: who waits for it, what was said, which media are still to come."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from typing import Literal

from nextgpt.errors import NextGPTError
from nextgpt.message import Medium, Progress, Reply, TextPiece
from nextgpt.model.encoding.base import Features
from nextgpt.model.llm.generation import Spoken
from nextgpt.model.llm.thought import MediumSegment
from nextgpt.model.rendering import Order, Place
from nextgpt.model.telling import Teller
from nextgpt.serve.engine.base import Answered, EngineFailure, Observe, Ticket, observe_nothing


@dataclass
class Work:
    """An answer on its way through the engine."""

    number: int
    ticket: Ticket
    observe: Observe = observe_nothing
    teller: Teller = field(default_factory=Teller)
    features: Sequence[Features] | None = None
    """Features of the conversation's media, where they were encoded elsewhere."""
    prompt_tokens: int = 0
    token_limit: int = 0
    made: dict[Place, Medium] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    """What each stage took by the clock on the wall, waiting for neighbours included."""
    _wanted: int = 0
    _begun: float = field(default_factory=time.perf_counter)
    _has_spoken: bool = False
    _showing: AbstractContextManager[bool] = field(default_factory=threading.Lock, repr=False)
    """Media of several modalities may be shown by as many threads."""

    def hear(self, spoken: Spoken) -> None:
        """Take what the language model says, and pass it on."""
        for event in self.teller.hear(spoken):
            if not self._has_spoken and isinstance(event, TextPiece):
                self._has_spoken = True
                self.observe("first_token", time.perf_counter() - self._begun)
            self.ticket.tell(event)

    def want(self, orders: Sequence[Order]) -> list[Order]:
        """Note which media are to be made, and give their places this work's number instead of row 0."""
        self._wanted = len(orders)
        return [
            replace(
                order,
                place=(self.number, order.place[1]),
                source=(self.number, order.source[1]) if isinstance(order.source, tuple) else order.source,
            )
            for order in orders
        ]

    def show(self, place: Place, event: Progress | Medium) -> bool:
        """Take a step of a medium or the medium itself, and pass on what may be told by now.

        Tells, once, that this was the last of all that was to be made.
        """
        with self._showing:
            if not isinstance(event, Progress):
                self.made[place] = event
            for told in self.teller.show(place[1], event):
                self.ticket.tell(told)
            return not isinstance(event, Progress) and len(self.made) == self._wanted

    def took(self, stage: str, seconds: float) -> None:
        """Add to the time of a stage."""
        self.seconds[stage] = self.seconds.get(stage, 0.0) + seconds

    def complete(self) -> None:
        """Tell that nothing more comes."""
        thought = self.teller.thought
        self.seconds["total"] = time.perf_counter() - self._begun
        self.observe("answer", self.seconds["total"])
        reply = Reply(self.teller.parts, self.ticket.job.sampling.seed, thought.dropped, self.seconds)
        is_cut = bool(thought.dropped) or len(thought.token_ids) >= self.token_limit
        reason: Literal["stop", "length"] = "length" if is_cut else "stop"
        edits = frozenset(
            part.digest
            for part, segment in zip(
                reply.parts, thought.segments, strict=False
            )  # media may be made elsewhere
            if isinstance(segment, MediumSegment) and segment.is_edit
        )
        self.ticket.tell(Answered(reply, self.prompt_tokens, len(thought.token_ids), reason, edits))

    def fail(self, error: Exception) -> None:
        """Tell what went wrong: the user's mistakes in their words, ours without."""
        if not isinstance(error, NextGPTError | EngineFailure):
            error = EngineFailure("The model failed at this answer; expected none of the kind. Try again.")
        self.ticket.tell(error)
