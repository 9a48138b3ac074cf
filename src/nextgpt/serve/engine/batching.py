"""The engine of one machine: one thread for the language model, one for the synthesizers, batches in both.

While the synthesizers make media of earlier answers, the language model goes on with later ones.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import math
import threading
import time
from collections.abc import Sequence

import torch

from nextgpt.message import Medium
from nextgpt.model.llm.prefix_cache import PrefixCache
from nextgpt.model.nextgpt import NextGPT
from nextgpt.model.rendering import Order
from nextgpt.serve.engine.base import (
    Busy,
    EngineFailure,
    EngineSettings,
    Job,
    Observe,
    Ticket,
    observe_nothing,
)
from nextgpt.serve.engine.making import Making
from nextgpt.serve.engine.speaking import Speaking
from nextgpt.serve.engine.work import Work

logger = logging.getLogger("nextgpt.serve")

LONGEST_RETRY_S = 60


class BatchingEngine:
    """Implements :class:`~nextgpt.serve.engine.base.Engine` on a model of this process.

    Args:
        model: Ready to answer; nothing else may use it meanwhile.
        name: What clients call it.
        observe: Told the seconds of every stage.
    """

    def __init__(
        self,
        model: NextGPT,
        name: str = "nano",
        settings: EngineSettings = EngineSettings(),
        *,
        observe: Observe = observe_nothing,
    ) -> None:
        self.name = name
        self.observe = observe
        self._model = model
        self._settings = settings
        model.llm.prefixes = PrefixCache(max_bytes=settings.cache_bytes, max_entries=settings.cache_entries)
        self._making = Making(
            model.synthesizer, max_media=settings.max_media, finish=self._finish, observe=self._observe
        )
        self._speaking = Speaking(
            model, max_running=settings.max_running, hand_over=self._hand_over, observe=self._observe
        )
        self._numbers = itertools.count()
        self._open: dict[int, Ticket] = {}
        self._lock = threading.Lock()
        self._threads: list[threading.Thread] = []
        self._is_ready = False
        self._is_closed = False
        self._pace = _Pace()

    @property
    def modalities(self) -> tuple[str, ...]:
        """What can be answered."""
        return self._model.modalities

    @property
    def is_ready(self) -> bool:
        """Whether every part is loaded and the threads work."""
        return self._is_ready and not self._is_closed

    @property
    def waiting(self) -> int:
        """Jobs that wait or run."""
        return len(self._open)

    def start(self) -> None:
        """Begin to work; parts that are not loaded yet are loaded before the first answer."""
        if self._threads:
            return
        self._threads = [
            threading.Thread(target=target, name=f"nextgpt-{name}", daemon=True)
            for name, target in (("speaking", self._load_and_speak), ("making", self._making.run))
        ]
        for thread in self._threads:
            thread.start()

    def submit(self, jobs: Sequence[Job]) -> list[Ticket]:
        """Take all jobs or none. Raises :class:`Busy` or :class:`EngineFailure`."""
        if self._is_closed:
            raise EngineFailure("The server is stopping; expected it to run. Try again in a few seconds.")
        with self._lock:
            if len(self._open) + len(jobs) > self._settings.max_waiting:
                raise Busy(len(self._open), self._pace.seconds_for(len(self._open)))
            works = [self._open_work(job) for job in jobs]
        for work in works:
            self._speaking.put(work)
        return [work.ticket for work in works]

    async def embed(self, items: Sequence[str | Medium]) -> list[list[float]]:
        """A vector of the encoder's common space for each text or medium, of length 1."""
        return await asyncio.to_thread(self._embed, items)

    def close(self, *, wait_s: float = 0.0) -> None:
        """Finish what is running within ``wait_s`` seconds, call off the rest, and stop."""
        self._is_closed = True
        deadline = time.monotonic() + wait_s
        while self._open and time.monotonic() < deadline:
            time.sleep(0.05)
        for ticket in list(self._open.values()):
            ticket.tell(EngineFailure("The server is stopping; the answer was called off. Try again later."))
            ticket.cancel()
        self._speaking.stop()
        self._making.stop()
        for thread in self._threads:
            thread.join(timeout=10)

    def _open_work(self, job: Job) -> Work:
        number = next(self._numbers)
        ticket = Ticket(job, lambda: self._shut(number))
        self._open[number] = ticket
        return Work(number, ticket, self._observe)

    def _shut(self, number: int) -> None:
        with self._lock:
            self._open.pop(number, None)

    def _observe(self, stage: str, seconds: float) -> None:
        self.observe(stage, seconds)

    def _load_and_speak(self) -> None:
        try:
            for part in self._model.parts.values():
                _ = part.loaded
        except Exception:
            logger.exception("a part of the model cannot be loaded; answers that need it will fail")
        self._is_ready = True
        self._speaking.run()

    def _hand_over(self, work: Work, orders: list[Order]) -> None:
        if orders:
            self._making.put(work, orders)
        else:
            self._finish(work)

    def _finish(self, work: Work) -> None:
        self._model.remember_edits(work.teller)
        self._pace.count()
        work.complete()

    @torch.no_grad()
    def _embed(self, items: Sequence[str | Medium]) -> list[list[float]]:
        encoder = self._model.encoder
        texts = [item for item in items if isinstance(item, str)]
        media = [item for item in items if not isinstance(item, str)]
        of_texts = iter(encoder.embed_text(texts) if texts else ())
        of_media = iter([features.vectors.mean(dim=0) for features in encoder.encode(media)] if media else ())
        vectors = [next(of_texts if isinstance(item, str) else of_media) for item in items]
        return [torch.nn.functional.normalize(vector.float(), dim=0).tolist() for vector in vectors]


class _Pace:
    """How fast answers are finished, to say when to come back."""

    def __init__(self) -> None:
        self._last = time.monotonic()
        self._seconds = 1.0

    def count(self) -> None:
        """Note that an answer is finished."""
        now = time.monotonic()
        self._seconds += 0.1 * (min(now - self._last, 10.0) - self._seconds)
        self._last = now

    def seconds_for(self, answers: int) -> int:
        """Seconds that half of so many answers may take."""
        return max(1, min(LONGEST_RETRY_S, math.ceil(self._seconds * answers / 2)))
