"""The thread of a synthesizer: media of one kind are made side by side, kinds take turns step by step."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from itertools import islice

import torch

from nextgpt.message import Medium, Progress
from nextgpt.model.rendering import Order, Place, render
from nextgpt.model.synthesis.base import Synthesizer
from nextgpt.serve.engine.base import Observe
from nextgpt.serve.engine.work import Work

logger = logging.getLogger("nextgpt.serve")

Kind = tuple[object, ...]

PATIENCE_S = 0.001
"""How long media wait, for each conversation that may order some of their kind, before they are made without those."""


@dataclass(frozen=True, eq=False)
class Wanted:
    """One medium that somebody waits for."""

    work: Work
    order: Order
    since: float = field(default_factory=time.perf_counter)

    @property
    def kind(self) -> Kind:
        """Media of one kind can be made side by side."""
        order = self.order
        return (
            order.modality,
            order.steps,
            order.guidance,
            order.source is None,
            self.work.ticket.job.has_previews,
        )

    @property
    def ready(self) -> Wanted | None:
        """The same with its source at hand; ``None`` while that is still being made."""
        source = self.order.source
        if not isinstance(source, tuple):
            return self
        made = self.work.made.get(source)
        return None if made is None else replace(self, order=replace(self.order, source=made))


@dataclass(frozen=True, eq=False)
class _Group:
    """Media that are being made side by side."""

    members: dict[Place, Wanted]
    events: Iterator[tuple[Place, Progress | Medium]]
    begun: float

    @property
    def is_cancelled(self) -> bool:
        return all(member.work.ticket.is_cancelled for member in self.members.values())


class Making:
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
        finish: Callable[[Work], None],
        observe: Observe,
        crowd: Callable[[], int] = lambda: 0,
    ) -> None:
        self._crowd = crowd
        self._synthesizer = synthesizer
        self._max_media = max_media
        self._finish = finish
        self._observe = observe
        self._inbox: list[Wanted] = []
        self._groups: dict[Kind, _Group] = {}
        self._changed = threading.Condition()
        self._is_stopping = False

    def put(self, work: Work, orders: list[Order]) -> None:
        """Order the media of a work. Any thread may call this."""
        with self._changed:
            self._inbox += [Wanted(work, order) for order in orders]
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
            self._gather()
            for kind in list(self._groups):
                self._step(kind)

    def _wait(self) -> bool:
        with self._changed:
            self._inbox = [wanted for wanted in self._inbox if not wanted.work.ticket.is_cancelled]
            while not (self._is_stopping or self._groups or self._chosen()):
                # Without a word from anybody, those who wait are looked at again when the patience for all is over.
                self._changed.wait(PATIENCE_S * self._crowd() if self._inbox else None)
            return not self._is_stopping

    def _gather(self) -> None:
        """Begin a group of every kind that somebody waits for and that is not being made."""
        with self._changed:
            chosen = self._chosen()
            taken = {id(wanted) for pairs in chosen.values() for wanted, _ in pairs}
            self._inbox = [wanted for wanted in self._inbox if id(wanted) not in taken]
            for kind, pairs in chosen.items():
                self._groups[kind] = self._begin([given for _, given in pairs])

    def _chosen(self) -> dict[Kind, list[tuple[Wanted, Wanted]]]:
        """Of every kind that can be begun now, those who wait, each with and without its source at hand."""
        kinds: dict[Kind, list[tuple[Wanted, Wanted]]] = {}
        for wanted in self._inbox:
            given = wanted.ready
            if given is not None and given.kind not in self._groups:
                kinds.setdefault(given.kind, []).append((wanted, given))
        others, now = self._crowd() - len(self._inbox), time.perf_counter()
        return {
            kind: pairs[: self._max_media]
            for kind, pairs in kinds.items()
            if len(pairs) >= self._max_media or now - pairs[0][0].since >= PATIENCE_S * others
        }

    def _begin(self, chosen: list[Wanted]) -> _Group:
        members = {wanted.order.place: wanted for wanted in chosen}
        orders = [wanted.order for wanted in chosen]
        events = render(orders, self._synthesizer, has_previews=chosen[0].work.ticket.job.has_previews)
        return _Group(members, events, time.perf_counter())

    def _step(self, kind: Kind) -> None:
        group = self._groups[kind]
        if group.is_cancelled:
            del self._groups[kind]
            return
        start = time.perf_counter()
        try:
            events = list(
                islice(group.events, len(group.members))
            )  # every member's step, or every member's medium
        except Exception as error:
            logger.exception("a synthesizer failed at a step")
            del self._groups[kind]
            for member in group.members.values():
                member.work.fail(error)
                member.work.ticket.cancel()
            return
        if not events:
            del self._groups[kind]
            return
        self._observe(f"{kind[0]}_step", time.perf_counter() - start)
        for place, event in events:
            self._tell(group, place, event)

    def _tell(self, group: _Group, place: Place, event: Progress | Medium) -> None:
        member = group.members[place]
        if member.work.ticket.is_cancelled:
            return
        if not isinstance(event, Progress):
            member.work.took(member.order.modality, time.perf_counter() - group.begun)
        if member.work.show(place, event):
            self._finish(member.work)
