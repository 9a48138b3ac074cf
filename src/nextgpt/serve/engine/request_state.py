"""State of one request inside an engine: its handle, the reply so far, and the media that are still missing."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace

from nextgpt.errors import NextGPTError
from nextgpt.message import Attribution, DenoisingProgress, Medium, Reply, TextDelta, damage_warnings
from nextgpt.model.encoding.base import Features
from nextgpt.model.llm.generation import LLMEvent
from nextgpt.model.reply_assembler import ReplyAssembler
from nextgpt.model.synthesis.batching import SegmentKey, SynthesisRequest
from nextgpt.serve.engine.base import EngineError, RequestHandle, RequestOutput, StageTimeCallback, ignore_stage_time

logger = logging.getLogger("nextgpt.serve")


@dataclass
class RequestState:
    """A request on its way through the schedulers."""

    number: int
    handle: RequestHandle
    on_stage_time: StageTimeCallback = ignore_stage_time
    assembler: ReplyAssembler = field(default_factory=ReplyAssembler)
    features: Sequence[Features] | None = None
    """Features of the conversation's media, if another process encoded them."""
    prompt_tokens: int = 0
    token_limit: int = 0
    truncated_turns: int = 0
    outputs: dict[SegmentKey, Medium] = field(default_factory=dict)
    """Finished media."""
    timings_s: dict[str, float] = field(default_factory=dict)
    """Wall-clock seconds per stage, including the time for other requests of the same batch."""
    _num_media: int = 0
    _started_at: float = field(default_factory=time.perf_counter)
    _has_first_token: bool = False
    _lock: AbstractContextManager[bool] = field(default_factory=threading.Lock, repr=False)
    """The schedulers of several modalities may emit at the same time."""

    def features_of(self, media: Sequence[Medium]) -> Sequence[Features] | None:
        """Return the features of ``media``, some of the conversation's; ``None`` if none were encoded elsewhere."""
        if self.features is None:
            return None
        own = zip(self.handle.request.conversation.media, self.features, strict=True)
        by_digest = {medium.digest: features for medium, features in own}
        return [by_digest[medium.digest] for medium in media]

    def on_llm_event(self, llm_event: LLMEvent) -> None:
        """Push what the LLM emitted to the handle."""
        for event in self.assembler.on_llm_event(llm_event):
            if not self._has_first_token and isinstance(event, TextDelta):
                self._has_first_token = True
                self.on_stage_time("first_token", time.perf_counter() - self._started_at)
            self.handle.push(event)

    def expect_media(self, requests: Sequence[SynthesisRequest]) -> list[SynthesisRequest]:
        """Record which media are still missing; return their requests with this request's number in the keys."""
        self._num_media = len(requests)
        return [
            replace(request, key=self._own_key(request.key), edit_source=self._own_key(request.edit_source))
            for request in requests
        ]

    def _own_key(self, key: SegmentKey | Medium | None) -> SegmentKey | Medium | None:
        return (self.number, key[1]) if isinstance(key, tuple) else key

    def on_synthesis_event(
        self, key: SegmentKey, event: DenoisingProgress | Medium, attribution: Attribution | None = None
    ) -> bool:
        """Push a denoising step, or a finished or retrieved medium, to the handle. Return whether it was the last."""
        with self._lock:
            if not isinstance(event, DenoisingProgress):
                self.outputs[key] = event
            for output in self.assembler.on_synthesis_event(key[1], event, attribution):
                self.handle.push(output)
            return not isinstance(event, DenoisingProgress) and len(self.outputs) == self._num_media

    def add_stage_time(self, stage: str, seconds: float) -> None:
        """Add to the time of a stage."""
        self.timings_s[stage] = self.timings_s.get(stage, 0.0) + seconds

    def finish(self) -> None:
        """Push the complete answer to the handle."""
        llm_output = self.assembler.llm_output
        num_tokens = len(llm_output.token_ids)
        self.timings_s["total"] = time.perf_counter() - self._started_at
        self.on_stage_time("answer", self.timings_s["total"])
        seed = self.handle.request.sampling.seed
        reply = Reply(
            self.assembler.parts,
            seed,
            llm_output.dropped,
            self.timings_s,
            self.truncated_turns,
            (*self.handle.request.warnings, *damage_warnings(self.handle.request.conversation)),
            attributions=self.assembler.attributions,
        )
        is_cut = bool(llm_output.dropped) or num_tokens >= self.token_limit
        edits = frozenset(self.assembler.edited_media_digests)
        reason = "length" if is_cut else "stop"
        self.handle.push(RequestOutput(reply, self.prompt_tokens, num_tokens, reason, edits))

    def fail(self, error: Exception) -> None:
        """Push an error to the handle; internal errors are logged, and their text is hidden."""
        if not isinstance(error, NextGPTError | EngineError):
            logger.error("request %s failed", self.handle.request_id, exc_info=error)
            error = EngineError("The model failed on this request. Try again.")
        self.handle.push(error)
