"""Engine in this process: one thread for the language model, one per synthesizer, continuous batching in all.

While the synthesizers generate media of earlier answers, the language model continues with later ones.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from nextgpt.message import Medium, Via
from nextgpt.model.llm.prefix_cache import PrefixCache
from nextgpt.model.nextgpt import NextGPT
from nextgpt.model.retrieval import RetrievalIndex, retrieve
from nextgpt.model.synthesis.batching import SynthesisRequest
from nextgpt.serve.engine.admission import AdmissionControl
from nextgpt.serve.engine.base import EngineRequest, EngineSettings, RequestHandle, StageTimeCallback, ignore_stage_time
from nextgpt.serve.engine.diffusion_scheduler import DiffusionScheduler
from nextgpt.serve.engine.embedding import embed
from nextgpt.serve.engine.llm_scheduler import LLMScheduler
from nextgpt.serve.engine.request_state import RequestState

logger = logging.getLogger("nextgpt.serve")


class LocalEngine:
    """Implements :class:`~nextgpt.serve.engine.base.Engine` with a model of this process.

    Args:
        model: Model without offloading; nothing else may use it at the same time.
        name: Name of the model for clients.
        on_stage_time: Called with the duration of every stage.
        index: Index from which requests may retrieve media.
    """

    def __init__(
        self,
        model: NextGPT,
        name: str = "nano",
        settings: EngineSettings = EngineSettings(),
        *,
        on_stage_time: StageTimeCallback = ignore_stage_time,
        index: RetrievalIndex | None = None,
    ) -> None:
        self._index = index
        self._retrieval_pool = ThreadPoolExecutor(1, thread_name_prefix="nextgpt-retrieval")
        self.name = name
        self.on_stage_time = on_stage_time
        self._model = model
        model.llm.prefix_cache = PrefixCache(max_bytes=settings.cache_bytes, max_entries=settings.cache_entries)
        self._diffusion_schedulers = {
            modality: DiffusionScheduler(
                model.synthesizer,
                max_media=settings.max_media,
                on_finished=self._finish,
                on_stage_time=self._record_stage_time,
                num_active_requests=lambda: self.num_unfinished,
            )
            for modality in model.config.synthesizers
        }
        self._llm_scheduler = LLMScheduler(
            model,
            max_running=settings.max_running,
            on_finished=self._on_llm_finished,
            on_stage_time=self._record_stage_time,
        )
        self._admission = AdmissionControl(settings.max_waiting)
        self._threads: list[threading.Thread] = []
        self._is_loaded = False

    @property
    def modalities(self) -> tuple[str, ...]:
        """Output modalities."""
        return self._model.modalities

    @property
    def embedding_modalities(self) -> tuple[str, ...]:
        """Modalities that :meth:`embed` takes; the first call may load the encoder."""
        return self._model.encoder.modalities

    @property
    def vias(self) -> tuple[Via, ...]:
        """Origins of media that a request may ask for; ``auto`` needs a calibrated index."""
        if self._index is None:
            return ("generate",)
        return ("generate", "retrieve", "auto") if self._index.thresholds else ("generate", "retrieve")

    @property
    def is_ready(self) -> bool:
        """True if every component is loaded and the engine is not stopping."""
        return self._is_loaded and not self._admission.is_closed

    @property
    def num_unfinished(self) -> int:
        """Number of queued and running requests."""
        return len(self._admission)

    def start(self) -> None:
        """Start the threads; components that are missing are loaded before the first answer."""
        if self._threads:
            return
        loops = {"llm": self._load_and_run_llm}
        loops |= {modality: scheduler.run for modality, scheduler in self._diffusion_schedulers.items()}
        self._threads = [
            threading.Thread(target=loop, name=f"nextgpt-{name}", daemon=True) for name, loop in loops.items()
        ]
        for thread in self._threads:
            thread.start()

    def submit(self, requests: Sequence[EngineRequest]) -> list[RequestHandle]:
        """Accept all requests or none. Raises :class:`QueueFullError` or :class:`EngineError`."""
        admitted = self._admission.admit(requests)
        for number, handle in admitted:
            self._llm_scheduler.submit(RequestState(number, handle, self._record_stage_time))
        return [handle for _, handle in admitted]

    async def embed(self, items: Sequence[str | Medium]) -> list[list[float]]:
        """Return a vector of length 1 in the encoder's common space per text or medium."""
        return await asyncio.to_thread(embed, self._model.encoder, items)

    def close(self, *, wait_s: float = 0.0) -> None:
        """Give running requests up to ``wait_s`` seconds, cancel the rest, and stop."""
        self._admission.close(wait_s=wait_s)
        self._llm_scheduler.stop()
        for scheduler in self._diffusion_schedulers.values():
            scheduler.stop()
        self._retrieval_pool.shutdown(wait=False, cancel_futures=True)
        for thread in self._threads:
            thread.join(timeout=10)

    def _record_stage_time(self, stage: str, seconds: float) -> None:
        self.on_stage_time(stage, seconds)

    def _load_and_run_llm(self) -> None:
        try:
            for component in self._model.components.values():
                component.get()
        except Exception:
            logger.exception("a component cannot be loaded; answers that need it will fail")
        self._is_loaded = True
        self._llm_scheduler.run()

    def _on_llm_finished(self, state: RequestState, requests: list[SynthesisRequest]) -> None:
        if not requests:
            self._finish(state)
        elif state.handle.request.via == "generate":
            self._synthesize(state, requests)
        else:  # in another thread, so that reading files does not hold up the LLM
            self._retrieval_pool.submit(self._retrieve, state, requests)

    def _retrieve(self, state: RequestState, requests: list[SynthesisRequest]) -> None:
        """Take media from the index, and synthesize the others."""
        start = time.perf_counter()
        try:
            retrieved, remaining = retrieve(requests, state.handle.request.via, self._index)
            state.add_stage_time("retrieval", time.perf_counter() - start)
            self._record_stage_time("retrieval", state.timings_s["retrieval"])
            is_last = False
            for key, item in retrieved.items():
                is_last = state.on_synthesis_event(key, item.medium, item.attribution)
        except Exception as error:
            logger.exception("the index failed at a request")
            state.fail(error)
            return
        if is_last:
            self._finish(state)
        else:
            self._synthesize(state, remaining)

    def _synthesize(self, state: RequestState, requests: list[SynthesisRequest]) -> None:
        for modality in dict.fromkeys(request.modality for request in requests):
            own = [request for request in requests if request.modality == modality]
            self._diffusion_schedulers[modality].submit(state, own)

    def _finish(self, state: RequestState) -> None:
        self._model.record_edits(state.assembler.edited_media_digests)
        self._admission.count_finished()
        state.finish()
