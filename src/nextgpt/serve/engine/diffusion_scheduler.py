"""The thread of a synthesizer: media of one kind are made side by side, kinds take turns step by step."""

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

BATCH_WAIT_S = 0.001
"""How long media wait, for each conversation that may order some of their kind, before they are made without those."""


@dataclass(frozen=True, eq=False)
class PendingMedium:
    """One medium that somebody waits for."""

    state: RequestState
    order: SynthesisRequest
    queued_at: float = field(default_factory=time.perf_counter)

    @property
    def batch_key(self) -> BatchKey:
        """Media of one kind can be made side by side."""
        order = self.order
        return (
            order.modality,
            order.num_inference_steps,
            order.guidance_scale,
            order.edit_source is None,
            self.state.handle.request.has_previews,
        )

    @property
    def with_resolved_source(self) -> PendingMedium | None:
        """The same with its source at hand; ``None`` while that is still being made."""
        source = self.order.edit_source
        if not isinstance(source, tuple):
            return self
        made = self.state.outputs.get(source)
        return None if made is None else replace(self, order=replace(self.order, source=made))


@dataclass(frozen=True, eq=False)
class RunningBatch:
    """Media that are being made side by side."""

    members: dict[SegmentKey, PendingMedium]
    events: Iterator[tuple[SegmentKey, DenoisingProgress | Medium]]
    started_at: float

    @property
    def is_cancelled(self) -> bool:
        return all(member.state.handle.is_cancelled for member in self.members.values())


class DiffusionScheduler:
    """Batches of diffusion: while one batch of a kind runs, the next one gathers, and the first of many waits a little.

    Args:
        synthesizer: Gives the synthesizer of a modality.
        max_media: Media in one batch.
        finish: Takes a work whose media are all made.
        crowd: How many conversations are being answered; where nobody else is, nobody waits.
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
        self._inbox: list[PendingMedium] = []
        self._batches: dict[BatchKey, RunningBatch] = {}
        self._changed = threading.Condition()
        self._is_stopping = False

    def submit(self, work: RequestState, orders: list[SynthesisRequest]) -> None:
        """Order the media of a work. Any thread may call this."""
        with self._changed:
            self._inbox += [PendingMedium(work, order) for order in orders]
            self._changed.notify()

    def stop(self) -> None:
        """End the loop after the step at hand."""
        with self._changed:
            self._is_stopping = True
            self._changed.notify()

    @torch.inference_mode()
    def run(self) -> None:
        """The loop; it ends with :meth:`stop`."""
        while self._wait():
            self._start_batches()
            for kind in list(self._batches):
                self._step(kind)

    def _wait(self) -> bool:
        with self._changed:
            self._inbox = [wanted for wanted in self._inbox if not wanted.state.handle.is_cancelled]
            while not (self._is_stopping or self._batches or self._startable()):
                # Without a word from anybody, those who wait are looked at again when the patience for all is over.
                self._changed.wait(BATCH_WAIT_S * self._num_active_requests() if self._inbox else None)
            return not self._is_stopping

    def _start_batches(self) -> None:
        """Begin a group of every kind that somebody waits for and that is not being made."""
        with self._changed:
            chosen = self._startable()
            taken = {id(wanted) for pairs in chosen.values() for wanted, _ in pairs}
            self._inbox = [wanted for wanted in self._inbox if id(wanted) not in taken]
            for kind, pairs in chosen.items():
                self._batches[kind] = self._start([given for _, given in pairs])

    def _startable(self) -> dict[BatchKey, list[tuple[PendingMedium, PendingMedium]]]:
        """Of every kind that can be begun now, those who wait, each with and without its source at hand."""
        kinds: dict[BatchKey, list[tuple[PendingMedium, PendingMedium]]] = {}
        for wanted in self._inbox:
            given = wanted.with_resolved_source
            if given is not None and given.batch_key not in self._batches:
                kinds.setdefault(given.batch_key, []).append((wanted, given))
        others, now = self._num_active_requests() - len(self._inbox), time.perf_counter()
        return {
            kind: pairs[: self._max_media]
            for kind, pairs in kinds.items()
            if len(pairs) >= self._max_media or now - pairs[0][0].queued_at >= BATCH_WAIT_S * others
        }

    def _start(self, chosen: list[PendingMedium]) -> RunningBatch:
        members = {wanted.order.key: wanted for wanted in chosen}
        orders = [wanted.order for wanted in chosen]
        events = synthesize_batch(
            orders, self._synthesizer, previews=chosen[0].state.handle.request.has_previews
        )
        return RunningBatch(members, events, time.perf_counter())

    def _step(self, kind: BatchKey) -> None:
        group = self._batches[kind]
        if group.is_cancelled:
            del self._batches[kind]
            return
        start = time.perf_counter()
        try:
            events = list(
                islice(group.events, len(group.members))
            )  # every member's step, or every member's medium
        except Exception as error:
            logger.exception("a synthesizer failed at a step")
            del self._batches[kind]
            for member in group.members.values():
                member.state.fail(error)
                member.state.handle.cancel()
            return
        if not events:
            del self._batches[kind]
            return
        self._on_stage_time(f"{kind[0]}_step", time.perf_counter() - start)
        for place, event in events:
            self._emit(group, place, event)

    def _emit(self, group: RunningBatch, place: SegmentKey, event: DenoisingProgress | Medium) -> None:
        member = group.members[place]
        if member.state.handle.is_cancelled:
            return
        if not isinstance(event, DenoisingProgress):
            member.state.add_stage_time(member.order.modality, time.perf_counter() - group.started_at)
        if member.state.on_synthesis_event(place, event):
            self._on_finished(member.state)
