"""The engine of a cluster: it leads each answer from step to step, and computes nothing itself."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace

from nextgpt.config import read_config
from nextgpt.message import DenoisingProgress, Medium, TextDelta
from nextgpt.model.encoding.base import Features
from nextgpt.model.loading import resolve_model_dir
from nextgpt.model.synthesis.batching import SegmentKey, SynthesisRequest
from nextgpt.serve.engine.admission import AdmissionControl
from nextgpt.serve.engine.base import (
    EngineError,
    EngineRequest,
    EngineSettings,
    RequestHandle,
    ignore_stage_time,
)
from nextgpt.serve.engine.ray.config import RayConfig
from nextgpt.serve.engine.ray.replicas import LLMStageResult
from nextgpt.serve.engine.ray.retry import RemoteMethod, RetryingStage
from nextgpt.serve.engine.request_state import RequestState

logger = logging.getLogger("nextgpt.serve")


@dataclass(frozen=True)
class StageHandles:
    """Methods of the deployments."""

    encode: RemoteMethod
    embed: RemoteMethod
    run_llm: RemoteMethod
    synthesize: Mapping[str, RemoteMethod]
    """By modality."""


class RayEngine:
    """Implements :class:`~nextgpt.serve.engine.base.Engine` on deployments of Ray Serve.

    Args:
        model: What ``nextgpt models`` lists; only its settings are read here.
        connect: Gives the steps; it may take its time, and is called in a thread of its own, as ``disconnect`` is.
        disconnect: Ends what ``connect`` began.
    """

    def __init__(
        self,
        model: str,
        name: str,
        settings: EngineSettings,
        ray: RayConfig,
        *,
        connect: Callable[[], StageHandles],
        disconnect: Callable[[], None] = lambda: None,
    ) -> None:
        self.name = name
        self.on_stage_time = ignore_stage_time
        self.modalities: tuple[str, ...] = ("text", *read_config(resolve_model_dir(model)).synthesizers)
        self._ray = ray
        self._connect, self._disconnect = connect, disconnect
        self._stages: StageHandles | None = None
        self._is_broken = False
        self._lifecycle_thread = threading.Thread(target=self._run_lifecycle, name="nextgpt-ray", daemon=True)
        self._closing = threading.Event()
        self._admission = AdmissionControl(settings.max_waiting, self._on_request_closed)
        self._tasks: dict[int, tuple[asyncio.AbstractEventLoop, asyncio.Task[None]]] = {}
        self._edits: deque[bytes] = deque(maxlen=10_000)
        """Digests of what was made by editing; speakers are told which of a conversation's media are among them."""

    @property
    def is_ready(self) -> bool:
        """Whether every step has a replica."""
        return self._stages is not None and not self._admission.is_closed

    @property
    def is_broken(self) -> bool:
        """Whether the steps could not be started."""
        return self._is_broken

    @property
    def num_unfinished(self) -> int:
        """Jobs that wait or run."""
        return len(self._admission)

    def start(self) -> None:
        """Begin to start the steps; :attr:`is_ready` tells when they are there."""
        if not self._lifecycle_thread.is_alive():
            self._lifecycle_thread.start()

    def submit(self, requests: Sequence[EngineRequest]) -> list[RequestHandle]:
        """Take all jobs or none. Raises :class:`~.base.Busy` or :class:`EngineError`."""
        self._ready_stages()
        taken = self._admission.admit(requests)
        loop = asyncio.get_running_loop()
        for number, ticket in taken:
            self._tasks[number] = (
                loop,
                loop.create_task(self._run_request(RequestState(number, ticket, self._add_stage_time))),
            )
        return [ticket for _, ticket in taken]

    async def embed(self, items: Sequence[str | Medium]) -> list[list[float]]:
        """A vector of the encoder's common space for each text or medium, of length 1."""
        return await self._stage("encoder").call(self._ready_stages().embed, list(items))

    def close(self, *, wait_s: float = 0.0) -> None:
        """Finish what is running within ``wait_s`` seconds, call off the rest, and end the steps."""
        self._admission.close(wait_s=wait_s)
        self._closing.set()
        if self._lifecycle_thread.is_alive():
            self._lifecycle_thread.join()

    def _run_lifecycle(self) -> None:
        """One thread from the beginning to the end: processes that Ray starts end with the thread that started it."""
        try:
            self._stages = self._connect()
        except Exception:
            logger.exception("the steps cannot be started; nothing will be answered")
            self._is_broken = True
        self._closing.wait()
        self._disconnect()

    def _ready_stages(self) -> StageHandles:
        if self._is_broken:
            raise EngineError(
                "The steps could not be started; expected them to run. The server's log says why."
            )
        if self._stages is None:
            raise EngineError(
                "The steps are being started; expected them to run. Try again in a few seconds."
            )
        return self._stages

    def _on_request_closed(self, number: int) -> None:
        """A job is answered or called off: what works on it ends with it."""
        loop, task = self._tasks.pop(number, (None, None))
        if loop is not None and task is not None and not loop.is_closed():
            loop.call_soon_threadsafe(task.cancel)

    def _add_stage_time(self, stage: str, seconds: float) -> None:
        self.on_stage_time(stage, seconds)

    def _stage(self, step: str) -> RetryingStage:
        return RetryingStage(step, max_attempts=self._ray.max_attempts, timeout_s=self._ray.stage_timeout_s)

    # ---- one answer, from step to step -------------------------------------------------------------------------

    async def _run_request(self, work: RequestState) -> None:
        try:
            features = await self._encode(work)
            said = await self._run_llm(work, features)
            await self._synthesize_all(work, work.expect_media(said.orders))
            self._edits.extend(work.teller.edited_media_digests)
            self._admission.count_finished()
            work.finish()
        except Exception as error:
            if not isinstance(error, EngineError | ValueError):
                logger.exception("an answer failed")
            work.fail(error)

    async def _encode(self, work: RequestState) -> list[Features]:
        begun = time.perf_counter()
        calls, encode = self._stage("encoder"), self._ready_stages().encode
        media = work.handle.request.conversation.media
        features = await asyncio.gather(*(calls.call(encode, medium) for medium in media))
        self._record_stage_time(work, "encoding", begun)
        return list(features)

    async def _run_llm(self, work: RequestState, features: list[Features]) -> LLMStageResult:
        """Words are passed on as they come. A speaker that takes over says the same words: those are passed over."""
        begun = time.perf_counter()
        job = work.handle.request
        edits = [medium.digest for medium in job.conversation.media if medium.digest in self._edits]
        told, again = "", ""
        asked = self._stage("llm").stream(self._ready_stages().run_llm, job, features, edits)
        async with aclosing(asked) as events:
            async for is_new, event in events:
                again = "" if is_new else again
                if isinstance(event, LLMStageResult):
                    work.prompt_tokens, work.token_limit = event.prompt_tokens, event.token_limit
                    work.on_llm_event(event.thought)
                    self._record_stage_time(work, "llm", begun)
                    return event
                again += event.text
                fresh = again[len(told) :]
                if not again.startswith(told[: len(again)]):
                    raise EngineError("A replica was lost, and another answered otherwise. Try again.")
                if fresh:
                    told = again
                    work.on_llm_event(TextDelta(fresh))
        raise EngineError("The answer broke off; expected its end. Try again.")

    async def _synthesize_all(self, work: RequestState, orders: Sequence[SynthesisRequest]) -> None:
        """Make all media at the same time; an edit of a medium of this answer waits for it."""
        tasks: dict[SegmentKey, asyncio.Task[Medium]] = {}
        for order in orders:
            tasks[order.key] = asyncio.create_task(self._synthesize(work, order, tasks))
        try:
            await asyncio.gather(*tasks.values())
        finally:
            for task in tasks.values():
                task.cancel()

    async def _synthesize(
        self, work: RequestState, order: SynthesisRequest, others: Mapping[SegmentKey, asyncio.Task[Medium]]
    ) -> Medium:
        if isinstance(order.edit_source, tuple):
            order = replace(order, source=await asyncio.shield(others[order.edit_source]))
        begun, step = time.perf_counter(), 0
        make = self._ready_stages().synthesize[order.modality]
        asked = self._stage(order.modality).stream(make, order, work.handle.request.has_previews)
        async with aclosing(asked) as events:
            async for _, event in events:
                if not isinstance(event, DenoisingProgress):
                    work.on_synthesis_event(order.key, event)
                    self._record_stage_time(work, order.modality, begun)
                    return event
                if event.step > step:  # a synthesizer that takes over begins anew
                    step = event.step
                    work.on_synthesis_event(order.key, event)
        raise EngineError("A medium broke off; expected its end. Try again.")

    def _record_stage_time(self, work: RequestState, stage: str, begun: float) -> None:
        seconds = time.perf_counter() - begun
        work.add_stage_time(stage, seconds)
        self._add_stage_time(stage, seconds)
