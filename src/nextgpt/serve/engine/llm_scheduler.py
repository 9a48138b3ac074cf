"""The thread of the language model: conversations join its batch as they arrive and leave as they are answered."""

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
"""How long an idle batch waits for one more who comes at the same time."""
MAX_BATCH_WINDOW_S = 0.02
"""How long it waits in all."""


class LLMScheduler:
    """Continuous batching: every turn of the loop lets newcomers in, and takes one step of all who are there.

    Args:
        max_running: Conversations in the batch; others wait in the order in which they came.
        hand_over: Takes a work whose words are said, with the media that it orders.
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
        self._generation = BatchGenerator(model.llm)
        self._running: dict[int, RequestState] = {}
        self._inbox: deque[RequestState] = deque()
        self._changed = threading.Condition()
        self._is_stopping = False

    def submit(self, work: RequestState) -> None:
        """Let a conversation wait for its place. Any thread may call this."""
        with self._changed:
            self._inbox.append(work)
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
            self._drop_cancelled()
            try:
                self._admit()
                self._step()
            except Exception:
                logger.exception("the language model failed at a step")
                self._fail_all()

    def _wait(self) -> bool:
        with self._changed:
            self._changed.wait_for(lambda: self._is_stopping or self._inbox or self._running)
            if not self._running:
                self._wait_for_batch()
            return not self._is_stopping

    def _wait_for_batch(self) -> None:
        """Let those who come at the same time be heard together, as the first alone would hold the others up."""
        deadline = time.perf_counter() + MAX_BATCH_WINDOW_S
        while time.perf_counter() < deadline and self._changed.wait(BATCH_WINDOW_S):
            continue

    def _drop_cancelled(self) -> None:
        """Let those go for whose answer nobody waits."""
        gone = [number for number, work in self._running.items() if work.handle.is_cancelled]
        if gone:
            self._generation.abort(gone)
            for number in gone:
                del self._running[number]

    def _admit(self) -> None:
        joining, soft = [], []
        for work in self._take_waiting():
            try:
                start = time.perf_counter()
                request = self._model.make_request(
                    work.handle.request.conversation, work.handle.request.sampling
                )
                heard = self._model.encode_media(request.prompt.media, work.features)  # (N, K, D)
                work.add_stage_time("encoding", time.perf_counter() - start)
                self._on_stage_time("encoding", work.timings_s["encoding"])
            except Exception as error:
                logger.debug("a conversation was refused", exc_info=error)
                work.fail(error)
                continue
            llm = self._model.llm
            work.prompt_tokens = request.prompt.length(llm.soft_tokens)
            work.token_limit = min(request.sampling.max_tokens, llm.context_length - work.prompt_tokens)
            joining.append((work.number, request))
            soft.append(heard)
            self._running[work.number] = work
        if joining:
            self._generation.add(joining, _cat(soft))

    def _take_waiting(self) -> list[RequestState]:
        with self._changed:
            room = self._max_running - len(self._running)
            taken: list[RequestState] = []
            while self._inbox and len(taken) < room:
                work = self._inbox.popleft()
                if not work.handle.is_cancelled:
                    taken.append(work)
            return taken

    def _step(self) -> None:
        if not self._running:
            return
        start = time.perf_counter()
        for number, spoken in self._generation.step():
            work = self._running[number]
            work.on_llm_event(spoken)
            if isinstance(spoken, LLMOutput):
                del self._running[number]
                job = work.handle.request
                orders = build_synthesis_requests(
                    [spoken], [job.conversation], [job.sampling], self._model.project_conditions
                )
                self._on_finished(work, work.expect_media(orders))
        seconds = time.perf_counter() - start
        self._on_stage_time("llm_step", seconds)
        for work in self._running.values():
            work.add_stage_time("llm", seconds)

    def _fail_all(self) -> None:
        """After a failure nothing is known of the batch: end all answers in it, and begin anew."""
        for work in self._running.values():
            work.fail(
                EngineError("The language model failed at this answer; expected none of the kind. Try again.")
            )
        self._running.clear()
        self._generation = BatchGenerator(self._model.llm)


def _cat(soft: list[Tensor]) -> Tensor:
    """Soft tokens of several conversations, those without media left out where there are others."""
    filled = [tokens for tokens in soft if len(tokens)]
    return torch.cat(filled) if filled else soft[0]
