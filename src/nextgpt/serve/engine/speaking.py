"""The thread of the language model: conversations join its batch as they arrive and leave as they are answered."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable

import torch
from torch import Tensor

from nextgpt.model.llm.generation import Generation
from nextgpt.model.llm.thought import Thought
from nextgpt.model.nextgpt import NextGPT
from nextgpt.model.ordering import order
from nextgpt.model.rendering import Order
from nextgpt.serve.engine.base import EngineFailure, Observe
from nextgpt.serve.engine.work import Work

logger = logging.getLogger("nextgpt.serve")


GATHERING_S = 0.002
"""How long an idle batch waits for one more who comes at the same time."""
LONGEST_GATHERING_S = 0.02
"""How long it waits in all."""


class Speaking:
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
        hand_over: Callable[[Work, list[Order]], None],
        observe: Observe,
    ) -> None:
        self._model = model
        self._max_running = max_running
        self._hand_over = hand_over
        self._observe = observe
        self._generation = Generation(model.llm)
        self._running: dict[int, Work] = {}
        self._inbox: deque[Work] = deque()
        self._changed = threading.Condition()
        self._is_stopping = False

    def put(self, work: Work) -> None:
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
            self._dismiss()
            try:
                self._admit()
                self._step()
            except Exception:
                logger.exception("the language model failed at a step")
                self._give_up()

    def _wait(self) -> bool:
        with self._changed:
            self._changed.wait_for(lambda: self._is_stopping or self._inbox or self._running)
            if not self._running:
                self._gather()
            return not self._is_stopping

    def _gather(self) -> None:
        """Let those who come at the same time be heard together, as the first alone would hold the others up."""
        deadline = time.perf_counter() + LONGEST_GATHERING_S
        while time.perf_counter() < deadline and self._changed.wait(GATHERING_S):
            continue

    def _dismiss(self) -> None:
        """Let those go for whose answer nobody waits."""
        gone = [number for number, work in self._running.items() if work.ticket.is_cancelled]
        if gone:
            self._generation.leave(gone)
            for number in gone:
                del self._running[number]

    def _admit(self) -> None:
        joining, soft = [], []
        for work in self._newcomers():
            try:
                start = time.perf_counter()
                request = self._model.request(work.ticket.job.conversation, work.ticket.job.sampling)
                heard = self._model.hear(request.prompt.media, work.features)  # (N, K, D)
                work.took("encoding", time.perf_counter() - start)
                self._observe("encoding", work.seconds["encoding"])
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
            self._generation.join(joining, _cat(soft))

    def _newcomers(self) -> list[Work]:
        with self._changed:
            room = self._max_running - len(self._running)
            taken: list[Work] = []
            while self._inbox and len(taken) < room:
                work = self._inbox.popleft()
                if not work.ticket.is_cancelled:
                    taken.append(work)
            return taken

    def _step(self) -> None:
        if not self._running:
            return
        start = time.perf_counter()
        for number, spoken in self._generation.step():
            work = self._running[number]
            work.hear(spoken)
            if isinstance(spoken, Thought):
                del self._running[number]
                job = work.ticket.job
                orders = order([spoken], [job.conversation], [job.sampling], self._model.condition)
                self._hand_over(work, work.want(orders))
        seconds = time.perf_counter() - start
        self._observe("llm_step", seconds)
        for work in self._running.values():
            work.took("llm", seconds)

    def _give_up(self) -> None:
        """After a failure nothing is known of the batch: end all answers in it, and begin anew."""
        for work in self._running.values():
            work.fail(
                EngineFailure(
                    "The language model failed at this answer; expected none of the kind. Try again."
                )
            )
        self._running.clear()
        self._generation = Generation(self._model.llm)


def _cat(soft: list[Tensor]) -> Tensor:
    """Soft tokens of several conversations, those without media left out where there are others."""
    filled = [tokens for tokens in soft if len(tokens)]
    return torch.cat(filled) if filled else soft[0]
