"""Engine on a cluster: passes each request from stage to stage, and computes nothing itself."""

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
from nextgpt.message import DenoisingProgress, Medium, TextDelta, Via
from nextgpt.model.encoding.base import Features
from nextgpt.model.encoding.loading import encoder_modalities
from nextgpt.model.hub import resolve_component_dir
from nextgpt.model.model_dir import resolve_model_dir
from nextgpt.model.synthesis.batching import SegmentKey, SynthesisRequest
from nextgpt.serve.engine.admission import AdmissionControl
from nextgpt.serve.engine.base import EngineError, EngineRequest, EngineSettings, RequestHandle, ignore_stage_time
from nextgpt.serve.engine.ray.config import RayConfig
from nextgpt.serve.engine.ray.replicas import LLMStageResult
from nextgpt.serve.engine.ray.retry import RemoteMethod, RetryingStage
from nextgpt.serve.engine.request_state import RequestState

logger = logging.getLogger("nextgpt.serve")

MAX_EDIT_DIGESTS = 10_000


@dataclass(frozen=True)
class StageHandles:
    """Methods of the deployments."""

    encode: RemoteMethod
    embed: RemoteMethod
    run_llm: RemoteMethod
    synthesize: Mapping[str, RemoteMethod]
    """Method of each modality's synthesizer."""


class RayEngine:
    """Implements :class:`~nextgpt.serve.engine.base.Engine` on deployments of Ray Serve.

    Args:
        model: Name that ``nextgpt models`` lists, or a folder; only its config is read here.
        connect: Starts the stages and returns their handles; it may take minutes and runs in a thread of its own.
        disconnect: Stops the stages, in the same thread.
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
        self._model_dir = resolve_model_dir(model)
        self.modalities: tuple[str, ...] = ("text", *read_config(self._model_dir).synthesizers)
        self.vias: tuple[Via, ...] = ("generate",)
        self._ray = ray
        self._connect, self._disconnect = connect, disconnect
        self._stages: StageHandles | None = None
        self._is_broken = False
        self._lifecycle_thread = threading.Thread(target=self._run_lifecycle, name="nextgpt-ray", daemon=True)
        self._closing = threading.Event()
        self._admission = AdmissionControl(settings.max_waiting, self._on_request_closed)
        self._tasks: dict[int, tuple[asyncio.AbstractEventLoop, asyncio.Task[None]]] = {}
        self._edits: deque[bytes] = deque(maxlen=MAX_EDIT_DIGESTS)
        """Digests of generated edits; the LLM stage needs to know which media of a conversation are edits."""

    @property
    def embedding_modalities(self) -> tuple[str, ...]:
        """Modalities that :meth:`embed` takes."""
        source = read_config(self._model_dir).encoder
        return encoder_modalities(resolve_component_dir(source, self._model_dir))

    @property
    def is_ready(self) -> bool:
        """True if every stage has a replica."""
        return self._stages is not None and not self._admission.is_closed

    @property
    def is_broken(self) -> bool:
        """True if starting the stages failed."""
        return self._is_broken

    @property
    def num_unfinished(self) -> int:
        """Number of queued and running requests."""
        return len(self._admission)

    def start(self) -> None:
        """Begin to start the stages; :attr:`is_ready` becomes true when they run."""
        if not self._lifecycle_thread.is_alive():
            self._lifecycle_thread.start()

    def submit(self, requests: Sequence[EngineRequest]) -> list[RequestHandle]:
        """Accept all requests or none; raises as :meth:`nextgpt.serve.engine.base.Engine.submit`."""
        self._ready_stages()
        admitted = self._admission.admit(requests)
        loop = asyncio.get_running_loop()
        for number, handle in admitted:
            state = RequestState(number, handle, self._forward_stage_time)
            self._tasks[number] = loop, loop.create_task(self._run_request(state))
        return [handle for _, handle in admitted]

    async def embed(self, items: Sequence[str | Medium]) -> list[list[float]]:
        """Return a vector of length 1 in the encoder's common space per text or medium."""
        return await self._stage("encoder").call(self._ready_stages().embed, list(items))

    def close(self, *, wait_s: float = 0.0) -> None:
        """Give running requests up to ``wait_s`` seconds, cancel the rest, and stop the stages."""
        self._admission.close(wait_s=wait_s)
        self._closing.set()
        if self._lifecycle_thread.is_alive():
            self._lifecycle_thread.join()

    def _run_lifecycle(self) -> None:
        """Start and stop the stages in one thread: Ray's processes end with the thread that started them."""
        try:
            self._stages = self._connect()
        except Exception:
            logger.exception("the stages cannot be started; all requests will fail")
            self._is_broken = True
        self._closing.wait()
        self._disconnect()

    def _ready_stages(self) -> StageHandles:
        if self._is_broken:
            raise EngineError("The stages could not be started; the server's log has the reason.")
        if self._stages is None:
            raise EngineError("The stages are still starting. Try again in a few seconds.")
        return self._stages

    def _on_request_closed(self, number: int) -> None:
        loop, task = self._tasks.pop(number, (None, None))
        if loop is not None and task is not None and not loop.is_closed():
            loop.call_soon_threadsafe(task.cancel)

    def _forward_stage_time(self, stage: str, seconds: float) -> None:
        self.on_stage_time(stage, seconds)

    def _stage(self, name: str) -> RetryingStage:
        return RetryingStage(name, max_attempts=self._ray.max_attempts, timeout_s=self._ray.stage_timeout_s)

    async def _run_request(self, state: RequestState) -> None:
        """Run all stages of one request."""
        try:
            features = await self._encode(state)
            result = await self._run_llm(state, features)
            await self._synthesize_all(state, state.expect_media(result.synthesis_requests))
            self._edits.extend(state.assembler.edited_media_digests)
            self._admission.count_finished()
            state.finish()
        except Exception as error:
            if not isinstance(error, EngineError | ValueError):
                logger.exception("a request failed")
            state.fail(error)

    async def _encode(self, state: RequestState) -> list[Features]:
        start = time.perf_counter()
        stage, encode = self._stage("encoder"), self._ready_stages().encode
        media = state.handle.request.conversation.media
        features = await asyncio.gather(*(stage.call(encode, medium) for medium in media))
        self._record_stage_time(state, "encoding", start)
        return list(features)

    async def _run_llm(self, state: RequestState, features: list[Features]) -> LLMStageResult:
        """Forward text as it arrives. A replica that takes over generates the same text; that part is skipped."""
        start = time.perf_counter()
        request = state.handle.request
        edits = [medium.digest for medium in request.conversation.media if medium.digest in self._edits]
        forwarded, current = "", ""
        calls = self._stage("llm").stream(self._ready_stages().run_llm, request, features, edits)
        async with aclosing(calls) as events:
            async for is_restart, event in events:
                current = "" if is_restart else current
                if isinstance(event, LLMStageResult):
                    state.prompt_tokens, state.token_limit = event.prompt_tokens, event.token_limit
                    state.truncated_turns = event.truncated_turns
                    state.on_llm_event(event.llm_output)
                    self._record_stage_time(state, "llm", start)
                    return event
                current += event.text
                if not current.startswith(forwarded[: len(current)]):
                    raise EngineError("A replica died, and another one generated a different answer. Try again.")
                if new_text := current[len(forwarded) :]:
                    forwarded = current
                    state.on_llm_event(TextDelta(new_text))
        raise EngineError("The answer ended early. Try again.")

    async def _synthesize_all(self, state: RequestState, requests: Sequence[SynthesisRequest]) -> None:
        """Generate all media concurrently; an edit of a medium of the same answer waits for it."""
        tasks: dict[SegmentKey, asyncio.Task[Medium]] = {}
        for request in requests:
            tasks[request.key] = asyncio.create_task(self._synthesize(state, request, tasks))
        try:
            await asyncio.gather(*tasks.values())
        finally:
            for task in tasks.values():
                task.cancel()

    async def _synthesize(
        self, state: RequestState, request: SynthesisRequest, tasks: Mapping[SegmentKey, asyncio.Task[Medium]]
    ) -> Medium:
        if isinstance(request.edit_source, tuple):
            source = await asyncio.shield(tasks[request.edit_source])
            request = replace(request, edit_source=source)
        start, last_step, modality = time.perf_counter(), 0, request.modality
        synthesize = self._ready_stages().synthesize[modality]
        calls = self._stage(modality).stream(synthesize, request, state.handle.request.has_previews)
        async with aclosing(calls) as events:
            async for _, event in events:
                if not isinstance(event, DenoisingProgress):
                    state.on_synthesis_event(request.key, event)
                    self._record_stage_time(state, modality, start)
                    return event
                if event.step > last_step:  # a replica that takes over starts at the first step
                    last_step = event.step
                    state.on_synthesis_event(request.key, event)
        raise EngineError("A medium ended early. Try again.")

    def _record_stage_time(self, state: RequestState, stage: str, start: float) -> None:
        seconds = time.perf_counter() - start
        state.add_stage_time(stage, seconds)
        self._forward_stage_time(stage, seconds)
