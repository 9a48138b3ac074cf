"""One answer while it is made: who waits for it, what was said, which media are still to come."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from typing import Literal

from nextgpt.errors import NextGPTError
from nextgpt.message import DenoisingProgress, Medium, Reply, TextDelta
from nextgpt.model.encoding.base import Features
from nextgpt.model.llm.generation import LLMEvent
from nextgpt.model.llm.output import MediumSegment
from nextgpt.model.reply_assembler import ReplyAssembler
from nextgpt.model.synthesis.batching import SegmentKey, SynthesisRequest
from nextgpt.serve.engine.base import (
    EngineError,
    RequestHandle,
    RequestOutput,
    StageTimeCallback,
    ignore_stage_time,
)


@dataclass
class RequestState:
    """An answer on its way through the engine."""

    number: int
    handle: RequestHandle
    on_stage_time: StageTimeCallback = ignore_stage_time
    teller: ReplyAssembler = field(default_factory=ReplyAssembler)
    features: Sequence[Features] | None = None
    """Features of the conversation's media, where they were encoded elsewhere."""
    prompt_tokens: int = 0
    token_limit: int = 0
    outputs: dict[SegmentKey, Medium] = field(default_factory=dict)
    timings_s: dict[str, float] = field(default_factory=dict)
    """What each stage took by the clock on the wall, waiting for neighbours included."""
    _num_media: int = 0
    _started_at: float = field(default_factory=time.perf_counter)
    _has_first_token: bool = False
    _lock: AbstractContextManager[bool] = field(default_factory=threading.Lock, repr=False)
    """Media of several modalities may be shown by as many threads."""

    def on_llm_event(self, spoken: LLMEvent) -> None:
        """Take what the language model says, and pass it on."""
        for event in self.teller.on_llm_event(spoken):
            if not self._has_first_token and isinstance(event, TextDelta):
                self._has_first_token = True
                self.on_stage_time("first_token", time.perf_counter() - self._started_at)
            self.handle.push(event)

    def expect_media(self, orders: Sequence[SynthesisRequest]) -> list[SynthesisRequest]:
        """Note which media are to be made, and give their places this work's number instead of row 0."""
        self._num_media = len(orders)
        return [
            replace(
                order,
                place=(self.number, order.key[1]),
                source=(self.number, order.edit_source[1])
                if isinstance(order.edit_source, tuple)
                else order.edit_source,
            )
            for order in orders
        ]

    def on_synthesis_event(self, place: SegmentKey, event: DenoisingProgress | Medium) -> bool:
        """Take a step of a medium or the medium itself, and pass on what may be told by now.

        Tells, once, that this was the last of all that was to be made.
        """
        with self._lock:
            if not isinstance(event, DenoisingProgress):
                self.outputs[place] = event
            for told in self.teller.on_synthesis_event(place[1], event):
                self.handle.push(told)
            return not isinstance(event, DenoisingProgress) and len(self.outputs) == self._num_media

    def add_stage_time(self, stage: str, seconds: float) -> None:
        """Add to the time of a stage."""
        self.timings_s[stage] = self.timings_s.get(stage, 0.0) + seconds

    def finish(self) -> None:
        """Tell that nothing more comes."""
        thought = self.teller.llm_output
        self.timings_s["total"] = time.perf_counter() - self._started_at
        self.on_stage_time("answer", self.timings_s["total"])
        reply = Reply(self.teller.parts, self.handle.request.sampling.seed, thought.dropped, self.timings_s)
        is_cut = bool(thought.dropped) or len(thought.token_ids) >= self.token_limit
        reason: Literal["stop", "length"] = "length" if is_cut else "stop"
        edits = frozenset(
            part.digest
            for part, segment in zip(
                reply.parts, thought.segments, strict=False
            )  # media may be made elsewhere
            if isinstance(segment, MediumSegment) and segment.is_edit
        )
        self.handle.push(RequestOutput(reply, self.prompt_tokens, len(thought.token_ids), reason, edits))

    def fail(self, error: Exception) -> None:
        """Tell what went wrong: the user's mistakes in their words, ours without."""
        if not isinstance(error, NextGPTError | EngineError):
            error = EngineError("The model failed at this answer; expected none of the kind. Try again.")
        self.handle.push(error)
