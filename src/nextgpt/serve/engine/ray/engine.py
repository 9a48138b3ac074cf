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
from nextgpt.message import Medium, Progress, TextPiece
from nextgpt.model.encoding.base import Features
from nextgpt.model.folder import locate
from nextgpt.model.nextgpt import edits_of
from nextgpt.model.rendering import Order, Place
from nextgpt.serve.engine.base import EngineFailure, EngineSettings, Job, Ticket, observe_nothing
from nextgpt.serve.engine.places import Places
from nextgpt.serve.engine.ray.calls import Calls, Method
from nextgpt.serve.engine.ray.replicas import Said
from nextgpt.serve.engine.ray.settings import RaySettings
from nextgpt.serve.engine.work import Work

logger = logging.getLogger("nextgpt.serve")


@dataclass(frozen=True)
class Steps:
    """Methods of the deployments."""

    encode: Method
    embed: Method
    speak: Method
    make: Mapping[str, Method]
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
        ray: RaySettings,
        *,
        connect: Callable[[], Steps],
        disconnect: Callable[[], None] = lambda: None,
    ) -> None:
        self.name = name
        self.observe = observe_nothing
        self.modalities: tuple[str, ...] = ("text", *read_config(locate(model)).synthesizers)
        self._ray = ray
        self._connect, self._disconnect = connect, disconnect
        self._steps: Steps | None = None
        self._is_broken = False
        self._life = threading.Thread(target=self._live, name="nextgpt-ray", daemon=True)
        self._closing = threading.Event()
        self._places = Places(settings.max_waiting, self._left)
        self._tasks: dict[int, tuple[asyncio.AbstractEventLoop, asyncio.Task[None]]] = {}
        self._edits: deque[bytes] = deque(maxlen=10_000)
        """Digests of what was made by editing; speakers are told which of a conversation's media are among them."""

    @property
    def is_ready(self) -> bool:
        """Whether every step has a replica."""
        return self._steps is not None and not self._places.is_closed

    @property
    def is_broken(self) -> bool:
        """Whether the steps could not be started."""
        return self._is_broken

    @property
    def waiting(self) -> int:
        """Jobs that wait or run."""
        return len(self._places)

    def start(self) -> None:
        """Begin to start the steps; :attr:`is_ready` tells when they are there."""
        if not self._life.is_alive():
            self._life.start()

    def submit(self, jobs: Sequence[Job]) -> list[Ticket]:
        """Take all jobs or none. Raises :class:`~.base.Busy` or :class:`EngineFailure`."""
        self._ready_steps()
        taken = self._places.take(jobs)
        loop = asyncio.get_running_loop()
        for number, ticket in taken:
            self._tasks[number] = loop, loop.create_task(self._answer(Work(number, ticket, self._observe)))
        return [ticket for _, ticket in taken]

    async def embed(self, items: Sequence[str | Medium]) -> list[list[float]]:
        """A vector of the encoder's common space for each text or medium, of length 1."""
        return await self._calls("encoder").result(self._ready_steps().embed, list(items))

    def close(self, *, wait_s: float = 0.0) -> None:
        """Finish what is running within ``wait_s`` seconds, call off the rest, and end the steps."""
        self._places.close(wait_s=wait_s)
        self._closing.set()
        if self._life.is_alive():
            self._life.join()

    def _live(self) -> None:
        """One thread from the beginning to the end: processes that Ray starts end with the thread that started it."""
        try:
            self._steps = self._connect()
        except Exception:
            logger.exception("the steps cannot be started; nothing will be answered")
            self._is_broken = True
        self._closing.wait()
        self._disconnect()

    def _ready_steps(self) -> Steps:
        if self._is_broken:
            raise EngineFailure(
                "The steps could not be started; expected them to run. The server's log says why."
            )
        if self._steps is None:
            raise EngineFailure(
                "The steps are being started; expected them to run. Try again in a few seconds."
            )
        return self._steps

    def _left(self, number: int) -> None:
        """A job is answered or called off: what works on it ends with it."""
        loop, task = self._tasks.pop(number, (None, None))
        if loop is not None and task is not None and not loop.is_closed():
            loop.call_soon_threadsafe(task.cancel)

    def _observe(self, stage: str, seconds: float) -> None:
        self.observe(stage, seconds)

    def _calls(self, step: str) -> Calls:
        return Calls(step, tries=self._ray.tries, patience_s=self._ray.patience_s)

    # ---- one answer, from step to step -------------------------------------------------------------------------

    async def _answer(self, work: Work) -> None:
        try:
            features = await self._hear(work)
            said = await self._speak(work, features)
            await self._make_all(work, work.want(said.orders))
            self._edits.extend(edits_of(work.teller))
            self._places.answered()
            work.complete()
        except Exception as error:
            if not isinstance(error, EngineFailure | ValueError):
                logger.exception("an answer failed")
            work.fail(error)

    async def _hear(self, work: Work) -> list[Features]:
        begun = time.perf_counter()
        calls, encode = self._calls("encoder"), self._ready_steps().encode
        media = work.ticket.job.conversation.media
        features = await asyncio.gather(*(calls.result(encode, medium) for medium in media))
        self._took(work, "encoding", begun)
        return list(features)

    async def _speak(self, work: Work, features: list[Features]) -> Said:
        """Words are passed on as they come. A speaker that takes over says the same words: those are passed over."""
        begun = time.perf_counter()
        job = work.ticket.job
        edits = [medium.digest for medium in job.conversation.media if medium.digest in self._edits]
        told, again = "", ""
        asked = self._calls("llm").events(self._ready_steps().speak, job, features, edits)
        async with aclosing(asked) as events:
            async for is_new, event in events:
                again = "" if is_new else again
                if isinstance(event, Said):
                    work.prompt_tokens, work.token_limit = event.prompt_tokens, event.token_limit
                    work.hear(event.thought)
                    self._took(work, "llm", begun)
                    return event
                again += event.text
                fresh = again[len(told) :]
                if not again.startswith(told[: len(again)]):
                    raise EngineFailure("A replica was lost, and another answered otherwise. Try again.")
                if fresh:
                    told = again
                    work.hear(TextPiece(fresh))
        raise EngineFailure("The answer broke off; expected its end. Try again.")

    async def _make_all(self, work: Work, orders: Sequence[Order]) -> None:
        """Make all media at the same time; an edit of a medium of this answer waits for it."""
        tasks: dict[Place, asyncio.Task[Medium]] = {}
        for order in orders:
            tasks[order.place] = asyncio.create_task(self._make(work, order, tasks))
        try:
            await asyncio.gather(*tasks.values())
        finally:
            for task in tasks.values():
                task.cancel()

    async def _make(self, work: Work, order: Order, others: Mapping[Place, asyncio.Task[Medium]]) -> Medium:
        if isinstance(order.source, tuple):
            order = replace(order, source=await asyncio.shield(others[order.source]))
        begun, step = time.perf_counter(), 0
        make = self._ready_steps().make[order.modality]
        asked = self._calls(order.modality).events(make, order, work.ticket.job.has_previews)
        async with aclosing(asked) as events:
            async for _, event in events:
                if not isinstance(event, Progress):
                    work.show(order.place, event)
                    self._took(work, order.modality, begun)
                    return event
                if event.step > step:  # a synthesizer that takes over begins anew
                    step = event.step
                    work.show(order.place, event)
        raise EngineFailure("A medium broke off; expected its end. Try again.")

    def _took(self, work: Work, stage: str, begun: float) -> None:
        seconds = time.perf_counter() - begun
        work.took(stage, seconds)
        self._observe(stage, seconds)
