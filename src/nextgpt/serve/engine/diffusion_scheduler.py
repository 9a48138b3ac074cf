"""Thread of a synthesizer: media with equal settings are denoised in one batch, batches alternate step by step."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from itertools import islice

import torch

from nextgpt.message import DenoisingProgress, Medium
from nextgpt.model.synthesis.base import Synthesizer
from nextgpt.model.synthesis.batching import SegmentKey, SynthesisRequest, synthesize_batch
from nextgpt.serve.engine.base import StageTimeCallback
from nextgpt.serve.engine.request_state import RequestState

logger = logging.getLogger("nextgpt.serve")

BatchKey = tuple[object, ...]
"""Settings that all media of a batch share."""

BATCH_WAIT_S = 0.001
"""Batching delay per active conversation before a batch is started without it."""


@dataclass(frozen=True, eq=False)
class PendingMedium:
    """A medium that waits for a batch."""

    state: RequestState
    request: SynthesisRequest
    queued_at: float = field(default_factory=time.perf_counter)

    @property
    def batch_key(self) -> BatchKey:
        """Media with equal keys can be denoised in one batch."""
        request = self.request
        return (
            request.modality,
            request.num_inference_steps,
            request.guidance_scale,
            request.edit_source is None,
            self.state.handle.request.has_previews,
        )

    @property
    def with_resolved_source(self) -> PendingMedium | None:
        """The same with the medium that it edits; ``None`` while that medium is being generated."""
        source = self.request.edit_source
        if not isinstance(source, tuple):
            return self
        medium = self.state.outputs.get(source)
        return None if medium is None else replace(self, request=replace(self.request, edit_source=medium))


@dataclass(frozen=True, eq=False)
class RunningBatch:
    """Media that are being denoised together."""

    members: dict[SegmentKey, PendingMedium]
    events: Iterator[tuple[SegmentKey, DenoisingProgress | Medium]]
    started_at: float

    @property
    def is_cancelled(self) -> bool:
        """True if all requests of the batch are cancelled."""
        return all(member.state.handle.is_cancelled for member in self.members.values())


class DiffusionScheduler:
    """Starts batches of media and runs their denoising steps in turn.

    While a batch runs, media with the same settings wait for the next one. The first medium of a new batch waits
    :data:`BATCH_WAIT_S` per active request, so a single request does not wait.

    Args:
        synthesizer: Returns the synthesizer of a modality.
        max_media: Maximum batch size.
        on_finished: Called with a request whose media are all finished.
        num_active_requests: Returns the number of requests that may still need media.
    """

    def __init__(
        self,
        synthesizer: Callable[[str], Synthesizer],
        *,
        max_media: int,
        on_finished: Callable[[RequestState], None],
        on_stage_time: StageTimeCallback,
        num_active_requests: Callable[[], int] = lambda: 0,
    ) -> None:
        self._num_active_requests = num_active_requests
        self._synthesizer = synthesizer
        self._max_media = max_media
        self._on_finished = on_finished
        self._on_stage_time = on_stage_time
        self._pending: list[PendingMedium] = []
        self._batches: dict[BatchKey, RunningBatch] = {}
        self._changed = threading.Condition()
        self._is_stopping = False

    def submit(self, state: RequestState, requests: list[SynthesisRequest]) -> None:
        """Queue the media of one request. Thread-safe."""
        with self._changed:
            self._pending += [PendingMedium(state, request) for request in requests]
            self._changed.notify()

    def stop(self) -> None:
        """Stop after the current step."""
        with self._changed:
            self._is_stopping = True
            self._changed.notify()

    @torch.inference_mode()
    def run(self) -> None:
        """Run until :meth:`stop`."""
        while self._wait():
            self._start_batches()
            for key in list(self._batches):
                self._step(key)

    def _wait(self) -> bool:
        """Wait for work. Return False when the scheduler is stopping."""
        with self._changed:
            self._pending = [medium for medium in self._pending if not medium.state.handle.is_cancelled]
            while not (self._is_stopping or self._batches or self._startable()):
                # Without a notification, look again when the batching delay is over.
                self._changed.wait(BATCH_WAIT_S * self._num_active_requests() if self._pending else None)
            return not self._is_stopping

    def _start_batches(self) -> None:
        """Start a batch per key that has pending media and no running batch."""
        with self._changed:
            startable = self._startable()
            started = {id(pending) for pairs in startable.values() for pending, _ in pairs}
            self._pending = [pending for pending in self._pending if id(pending) not in started]
            for key, pairs in startable.items():
                self._batches[key] = self._start([resolved for _, resolved in pairs])

    def _startable(self) -> dict[BatchKey, list[tuple[PendingMedium, PendingMedium]]]:
        """Return the media of every batch that can start now, each as queued and with its edit source resolved."""
        candidates: dict[BatchKey, list[tuple[PendingMedium, PendingMedium]]] = {}
        for pending in self._pending:
            resolved = pending.with_resolved_source
            if resolved is not None and resolved.batch_key not in self._batches:
                candidates.setdefault(resolved.batch_key, []).append((pending, resolved))
        num_others, now = self._num_active_requests() - len(self._pending), time.perf_counter()
        return {
            key: pairs[: self._max_media]
            for key, pairs in candidates.items()
            if len(pairs) >= self._max_media or now - pairs[0][0].queued_at >= BATCH_WAIT_S * num_others
        }

    def _start(self, media: list[PendingMedium]) -> RunningBatch:
        members = {medium.request.key: medium for medium in media}
        requests = [medium.request for medium in media]
        has_previews = media[0].state.handle.request.has_previews
        events = synthesize_batch(requests, self._synthesizer, previews=has_previews)
        return RunningBatch(members, events, time.perf_counter())

    def _step(self, key: BatchKey) -> None:
        """Run one denoising step of a batch, or fetch its finished media."""
        batch = self._batches[key]
        if batch.is_cancelled:
            del self._batches[key]
            return
        start = time.perf_counter()
        try:
            events = list(islice(batch.events, len(batch.members)))  # one event per member
        except Exception as error:
            logger.exception("a synthesizer failed at a step")
            del self._batches[key]
            for member in batch.members.values():
                member.state.fail(error)
                member.state.handle.cancel()
            return
        if not events:
            del self._batches[key]
            return
        self._on_stage_time(f"{key[0]}_step", time.perf_counter() - start)
        for segment_key, event in events:
            self._emit(batch, segment_key, event)

    def _emit(self, batch: RunningBatch, key: SegmentKey, event: DenoisingProgress | Medium) -> None:
        member = batch.members[key]
        if member.state.handle.is_cancelled:
            return
        if not isinstance(event, DenoisingProgress):
            member.state.add_stage_time(member.request.modality, time.perf_counter() - batch.started_at)
        if member.state.on_synthesis_event(key, event):
            self._on_finished(member.state)
