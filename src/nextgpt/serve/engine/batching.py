"""The engine of one machine: one thread for the language model, one for each synthesizer, batches in all.

While the synthesizers make media of earlier answers, the language model goes on with later ones.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Sequence

from nextgpt.message import Medium
from nextgpt.model.llm.prefix_cache import PrefixCache
from nextgpt.model.nextgpt import NextGPT
from nextgpt.model.rendering import Order
from nextgpt.serve.engine.base import EngineSettings, Job, Observe, Ticket, observe_nothing
from nextgpt.serve.engine.embedding import embed
from nextgpt.serve.engine.making import Making
from nextgpt.serve.engine.places import Places
from nextgpt.serve.engine.speaking import Speaking
from nextgpt.serve.engine.work import Work

logger = logging.getLogger("nextgpt.serve")


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
        model.llm.prefixes = PrefixCache(max_bytes=settings.cache_bytes, max_entries=settings.cache_entries)
        self._makings = {
            modality: Making(
                model.synthesizer,
                max_media=settings.max_media,
                finish=self._finish,
                observe=self._observe,
                crowd=lambda: self.waiting,
            )
            for modality in model.config.synthesizers
        }
        self._speaking = Speaking(
            model, max_running=settings.max_running, hand_over=self._hand_over, observe=self._observe
        )
        self._places = Places(settings.max_waiting)
        self._threads: list[threading.Thread] = []
        self._is_ready = False

    @property
    def modalities(self) -> tuple[str, ...]:
        """What can be answered."""
        return self._model.modalities

    @property
    def is_ready(self) -> bool:
        """Whether every part is loaded and the threads work."""
        return self._is_ready and not self._places.is_closed

    @property
    def waiting(self) -> int:
        """Jobs that wait or run."""
        return len(self._places)

    def start(self) -> None:
        """Begin to work; parts that are not loaded yet are loaded before the first answer."""
        if self._threads:
            return
        self._threads = [
            threading.Thread(target=target, name=f"nextgpt-{name}", daemon=True)
            for name, target in (
                ("speaking", self._load_and_speak),
                *((modality, making.run) for modality, making in self._makings.items()),
            )
        ]
        for thread in self._threads:
            thread.start()

    def submit(self, jobs: Sequence[Job]) -> list[Ticket]:
        """Take all jobs or none. Raises :class:`Busy` or :class:`EngineFailure`."""
        taken = self._places.take(jobs)
        for number, ticket in taken:
            self._speaking.put(Work(number, ticket, self._observe))
        return [ticket for _, ticket in taken]

    async def embed(self, items: Sequence[str | Medium]) -> list[list[float]]:
        """A vector of the encoder's common space for each text or medium, of length 1."""
        return await asyncio.to_thread(embed, self._model.encoder, items)

    def close(self, *, wait_s: float = 0.0) -> None:
        """Finish what is running within ``wait_s`` seconds, call off the rest, and stop."""
        self._places.close(wait_s=wait_s)
        self._speaking.stop()
        for making in self._makings.values():
            making.stop()
        for thread in self._threads:
            thread.join(timeout=10)

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
        if not orders:
            self._finish(work)
        for modality in dict.fromkeys(order.modality for order in orders):
            self._makings[modality].put(work, [order for order in orders if order.modality == modality])

    def _finish(self, work: Work) -> None:
        self._model.remember_edits(work.teller)
        self._places.answered()
        work.complete()
