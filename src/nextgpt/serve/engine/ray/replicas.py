"""What runs in the replicas: each holds one step of the path, and batches what comes to it.

Language model and synthesizers are driven by the same loops as in the engine of one machine.
"""

from __future__ import annotations

import asyncio
import itertools
import threading
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from ray import serve

from nextgpt.config import read_config
from nextgpt.message import Conversation, Medium, Progress, Sampling, TextPiece
from nextgpt.model.encoding.base import Features
from nextgpt.model.feature_cache import FeatureCache
from nextgpt.model.folder import locate, open_parts, plan_of
from nextgpt.model.llm.prefix_cache import PrefixCache
from nextgpt.model.llm.thought import MediumSegment, Thought
from nextgpt.model.nextgpt import NextGPT
from nextgpt.model.parts import Part
from nextgpt.model.rendering import Order
from nextgpt.serve.engine.base import Answered, EngineSettings, Job, Ticket, observe_nothing
from nextgpt.serve.engine.embedding import embed
from nextgpt.serve.engine.making import Making
from nextgpt.serve.engine.speaking import Speaking
from nextgpt.serve.engine.work import Work


@dataclass(frozen=True)
class Place:
    """Which model a replica serves, and on what."""

    model: str
    device: str
    threads: int

    def settle(self) -> None:
        """Make this process ready for it."""
        torch.set_num_threads(self.threads)


@dataclass(frozen=True, eq=False)
class Said:
    """The last thing that a speaker tells: everything is said, and these media are to be made."""

    thought: Thought
    orders: tuple[Order, ...]
    prompt_tokens: int
    token_limit: int


def open_frozen(folder: Path, device: str) -> dict[str, Part]:
    """The frozen parts of a model, all for one device; each is loaded when it is asked for."""
    config = read_config(folder)
    return open_parts(config, folder, plan_of((), names=config.sources, device=device))


class EncoderReplica:
    """First step: media to features, those of several requests in one batch."""

    def __init__(self, place: Place) -> None:
        place.settle()
        folder = locate(place.model)
        self._encoder = open_frozen(folder, place.device)["encoder"].loaded
        self._known = FeatureCache()

    @serve.batch(max_batch_size=16, batch_wait_timeout_s=0.005)
    async def encode(self, media: list[Medium]) -> list[Features]:
        """Features of media that were asked for one by one."""
        return await self.encode_all(media)

    async def encode_all(self, media: list[Medium]) -> list[Features]:
        """Features of several media."""
        found = await asyncio.to_thread(self._known.features, media, self._encoder.encode)
        return [replace(features, vectors=features.vectors.cpu()) for features in found]

    async def embed(self, items: Sequence[str | Medium]) -> list[list[float]]:
        """Vectors of the common space."""
        return await asyncio.to_thread(embed, self._encoder, items)


class SpeakerReplica:
    """Second to fourth step: conversations and features to words and orders, many conversations in one batch."""

    def __init__(self, place: Place, settings: EngineSettings) -> None:
        place.settle()
        self._model = NextGPT.from_pretrained(place.model, device=place.device)
        self._model.llm.prefixes = PrefixCache(
            max_bytes=settings.cache_bytes, max_entries=settings.cache_entries
        )
        self._numbers = itertools.count()
        self._orders: dict[int, list[Order]] = {}
        self._speaking = Speaking(
            self._model, max_running=settings.max_running, hand_over=self._hand_over, observe=observe_nothing
        )
        threading.Thread(target=self._speaking.run, name="nextgpt-speaking", daemon=True).start()

    async def speak(
        self, job: Job, features: list[Features], edits: list[bytes]
    ) -> AsyncIterator[TextPiece | Said]:
        """Answer a conversation up to its media; ``edits`` are the digests of its media that are edits."""
        self._model.note_edits(edits)
        number, ticket = next(self._numbers), Ticket(job)
        work = Work(number, ticket, features=features)
        self._speaking.put(work)
        try:
            async with aclosing(ticket.events()) as events:
                async for event in events:
                    if isinstance(event, TextPiece):
                        yield event
            orders = tuple(replace(order, condition=order.condition.cpu()) for order in self._orders[number])
            yield Said(_without_states(work.teller.thought), orders, work.prompt_tokens, work.token_limit)
        finally:
            self._orders.pop(number, None)

    def _hand_over(self, work: Work, orders: list[Order]) -> None:
        self._orders[work.number] = orders
        work.complete()


class SynthesizerReplica:
    """Fifth step: orders to media of one modality, alike ones in one batch."""

    def __init__(self, place: Place, settings: EngineSettings, modality: str) -> None:
        place.settle()
        folder = locate(place.model)
        synthesizer = open_frozen(folder, place.device)[modality].loaded
        self._numbers = itertools.count()
        self._making = Making(
            lambda _: synthesizer, max_media=settings.max_media, finish=Work.complete, observe=observe_nothing
        )
        threading.Thread(target=self._making.run, name="nextgpt-making", daemon=True).start()

    async def make(self, order: Order, has_previews: bool) -> AsyncIterator[Progress | Medium]:
        """Make a medium; tell every step on the way."""
        ticket = Ticket(Job(Conversation(), Sampling(seed=order.seed), has_previews))
        work = Work(next(self._numbers), ticket)
        segment = MediumSegment(order.modality, torch.zeros(0, 0), is_edit=order.source is not None)
        work.hear(Thought((segment,), ()))
        self._making.put(work, work.want([replace(order, place=(0, 0))]))
        async with aclosing(ticket.events()) as events:
            async for event in events:
                if not isinstance(event, Answered):
                    yield event


def _without_states(thought: Thought) -> Thought:
    """A thought whose conditions are known: hidden states need not travel."""
    return replace(
        thought,
        segments=tuple(
            replace(segment, hidden=torch.zeros(0, 0)) if isinstance(segment, MediumSegment) else segment
            for segment in thought.segments
        ),
    )
