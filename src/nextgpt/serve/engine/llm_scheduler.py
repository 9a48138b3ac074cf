"""Thread of the language model: requests join its batch as they arrive and leave it as they finish."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable

import torch
from torch import Tensor

from nextgpt.model.llm.generation import BatchGenerator
from nextgpt.model.llm.output import LLMOutput
from nextgpt.model.nextgpt import NextGPT
from nextgpt.model.synthesis.batching import SynthesisRequest
from nextgpt.model.synthesis_requests import build_synthesis_requests
from nextgpt.serve.engine.base import EngineError, StageTimeCallback
from nextgpt.serve.engine.request_state import RequestState

logger = logging.getLogger("nextgpt.serve")

BATCH_WINDOW_S = 0.002
"""Time that an idle scheduler waits for another request, after each one."""
MAX_BATCH_WINDOW_S = 0.02
"""Maximum time that an idle scheduler waits in total."""


class LLMScheduler:
    """Continuous batching: every iteration admits waiting requests and runs one decoding step of the batch.

    Args:
        max_running: Maximum batch size; other requests wait in order of arrival.
        on_finished: Called with a request whose LLM output is complete, and its synthesis requests.
    """

    def __init__(
        self,
        model: NextGPT,
        *,
        max_running: int,
        on_finished: Callable[[RequestState, list[SynthesisRequest]], None],
        on_stage_time: StageTimeCallback,
    ) -> None:
        self._model = model
        self._max_running = max_running
        self._on_finished = on_finished
        self._on_stage_time = on_stage_time
        self._generator = BatchGenerator(model.llm)
        self._running: dict[int, RequestState] = {}
        self._waiting: deque[RequestState] = deque()
        self._changed = threading.Condition()
        self._is_stopping = False

    def submit(self, state: RequestState) -> None:
        """Queue a request. Thread-safe."""
        with self._changed:
            self._waiting.append(state)
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
            self._drop_cancelled()
            try:
                self._admit()
                self._step()
            except Exception:
                logger.exception("the language model failed at a step")
                self._fail_all()

    def _wait(self) -> bool:
        """Wait for work. Return False when the scheduler is stopping."""
        with self._changed:
            self._changed.wait_for(lambda: self._is_stopping or self._waiting or self._running)
            if not self._running:
                self._wait_for_batch()
            return not self._is_stopping

    def _wait_for_batch(self) -> None:
        """Wait briefly so that requests arriving together are prefilled in one batch."""
        deadline = time.perf_counter() + MAX_BATCH_WINDOW_S
        while time.perf_counter() < deadline and self._changed.wait(BATCH_WINDOW_S):
            continue

    def _drop_cancelled(self) -> None:
        cancelled = [number for number, state in self._running.items() if state.handle.is_cancelled]
        if cancelled:
            self._generator.abort(cancelled)
            for number in cancelled:
                del self._running[number]

    def _admit(self) -> None:
        """Encode the media of waiting requests, and add the requests to the batch."""
        requests, soft_tokens = [], []
        llm = self._model.llm
        for state in self._take_waiting():
            try:
                start = time.perf_counter()
                engine_request = state.handle.request
                request = self._model.make_request(engine_request.conversation, engine_request.sampling)
                features = state.features_of(request.prompt.media)
                tokens = self._model.encode_media(request.prompt.media, features)  # (N, K, D)
                state.add_stage_time("encoding", time.perf_counter() - start)
                self._on_stage_time("encoding", state.timings_s["encoding"])
            except Exception as error:
                logger.debug("a request was refused", exc_info=error)
                state.fail(error)
                continue
            state.prompt_tokens = request.prompt.length(llm.soft_tokens)
            state.truncated_turns = request.truncated_turns
            state.token_limit = min(request.sampling.max_tokens, llm.context_length - state.prompt_tokens)
            requests.append((state.number, request))
            soft_tokens.append(tokens)
            self._running[state.number] = state
        if requests:
            self._generator.add(requests, _cat(soft_tokens))

    def _take_waiting(self) -> list[RequestState]:
        with self._changed:
            capacity = self._max_running - len(self._running)
            admitted: list[RequestState] = []
            while self._waiting and len(admitted) < capacity:
                state = self._waiting.popleft()
                if not state.handle.is_cancelled:
                    admitted.append(state)
            return admitted

    def _step(self) -> None:
        """Run one decoding step and pass its events on."""
        if not self._running:
            return
        start = time.perf_counter()
        for number, event in self._generator.step():
            state = self._running[number]
            state.on_llm_event(event)
            if isinstance(event, LLMOutput):
                del self._running[number]
                request = state.handle.request
                media = build_synthesis_requests(
                    [event], [request.conversation], [request.sampling], self._model.project_conditions
                )
                self._on_finished(state, state.expect_media(media))
        seconds = time.perf_counter() - start
        self._on_stage_time("llm_step", seconds)
        for state in self._running.values():
            state.add_stage_time("llm", seconds)

    def _fail_all(self) -> None:
        """Fail all running requests and start with an empty batch, because its state is undefined after an error."""
        for state in self._running.values():
            state.fail(EngineError("The language model failed on this request. Try again."))
        self._running.clear()
        self._generator = BatchGenerator(self._model.llm)


def _cat(soft_tokens: list[Tensor]) -> Tensor:
    """Concatenate the soft tokens of several requests; requests without media have none of the right width."""
    non_empty = [tokens for tokens in soft_tokens if len(tokens)]
    return torch.cat(non_empty) if non_empty else soft_tokens[0]
