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
from nextgpt.model.synthesis.batching import SynthesisRequest
from nextgpt.serve.engine.admission import AdmissionControl
from nextgpt.serve.engine.base import (
    EngineRequest,
    EngineSettings,
    RequestHandle,
    StageTimeCallback,
    ignore_stage_time,
)
from nextgpt.serve.engine.diffusion_scheduler import DiffusionScheduler
from nextgpt.serve.engine.embedding import embed
from nextgpt.serve.engine.llm_scheduler import LLMScheduler
from nextgpt.serve.engine.request_state import RequestState

logger = logging.getLogger("nextgpt.serve")


class LocalEngine:
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
        on_stage_time: StageTimeCallback = ignore_stage_time,
    ) -> None:
        self.name = name
        self.on_stage_time = on_stage_time
        self._model = model
        model.llm.prefix_cache = PrefixCache(
            max_bytes=settings.cache_bytes, max_entries=settings.cache_entries
        )
        self._diffusion_schedulers = {
            modality: DiffusionScheduler(
                model.synthesizer,
                max_media=settings.max_media,
                on_finished=self._finish,
                on_stage_time=self._add_stage_time,
                num_active_requests=lambda: self.num_unfinished,
            )
            for modality in model.config.synthesizers
        }
        self._llm_scheduler = LLMScheduler(
            model,
            max_running=settings.max_running,
            on_finished=self._on_llm_finished,
            on_stage_time=self._add_stage_time,
        )
        self._admission = AdmissionControl(settings.max_waiting)
        self._threads: list[threading.Thread] = []
        self._is_ready = False

    @property
    def modalities(self) -> tuple[str, ...]:
        """What can be answered."""
        return self._model.modalities

    @property
    def is_ready(self) -> bool:
        """Whether every part is loaded and the threads work."""
        return self._is_ready and not self._admission.is_closed

    @property
    def num_unfinished(self) -> int:
        """Jobs that wait or run."""
        return len(self._admission)

    def start(self) -> None:
        """Begin to work; parts that are not loaded yet are loaded before the first answer."""
        if self._threads:
            return
        self._threads = [
            threading.Thread(target=target, name=f"nextgpt-{name}", daemon=True)
            for name, target in (
                ("speaking", self._load_and_run_llm),
                *((modality, making.run) for modality, making in self._diffusion_schedulers.items()),
            )
        ]
        for thread in self._threads:
            thread.start()

    def submit(self, requests: Sequence[EngineRequest]) -> list[RequestHandle]:
        """Take all jobs or none. Raises :class:`Busy` or :class:`EngineError`."""
        taken = self._admission.admit(requests)
        for number, ticket in taken:
            self._llm_scheduler.submit(RequestState(number, ticket, self._add_stage_time))
        return [ticket for _, ticket in taken]

    async def embed(self, items: Sequence[str | Medium]) -> list[list[float]]:
        """A vector of the encoder's common space for each text or medium, of length 1."""
        return await asyncio.to_thread(embed, self._model.encoder, items)

    def close(self, *, wait_s: float = 0.0) -> None:
        """Finish what is running within ``wait_s`` seconds, call off the rest, and stop."""
        self._admission.close(wait_s=wait_s)
        self._llm_scheduler.stop()
        for making in self._diffusion_schedulers.values():
            making.stop()
        for thread in self._threads:
            thread.join(timeout=10)

    def _add_stage_time(self, stage: str, seconds: float) -> None:
        self.on_stage_time(stage, seconds)

    def _load_and_run_llm(self) -> None:
        try:
            for part in self._model.components.values():
                _ = part.get()
        except Exception:
            logger.exception("a part of the model cannot be loaded; answers that need it will fail")
        self._is_ready = True
        self._llm_scheduler.run()

    def _on_llm_finished(self, work: RequestState, orders: list[SynthesisRequest]) -> None:
        if not orders:
            self._finish(work)
        for modality in dict.fromkeys(order.modality for order in orders):
            self._diffusion_schedulers[modality].submit(
                work, [order for order in orders if order.modality == modality]
            )

    def _finish(self, work: RequestState) -> None:
        self._model.record_edits(work.teller.edited_media_digests)
        self._admission.count_finished()
        work.finish()
