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
from nextgpt.message import Conversation, DenoisingProgress, Medium, Sampling, TextDelta
from nextgpt.model.components import Component
from nextgpt.model.encoding.base import Features
from nextgpt.model.feature_cache import FeatureCache
from nextgpt.model.llm.output import LLMOutput, MediumSegment
from nextgpt.model.llm.prefix_cache import PrefixCache
from nextgpt.model.loading import lazy_components, make_memory_plan, resolve_model_dir
from nextgpt.model.nextgpt import NextGPT
from nextgpt.model.synthesis.batching import SynthesisRequest
from nextgpt.serve.engine.base import (
    EngineRequest,
    EngineSettings,
    RequestHandle,
    RequestOutput,
    ignore_stage_time,
)
from nextgpt.serve.engine.diffusion_scheduler import DiffusionScheduler
from nextgpt.serve.engine.embedding import embed
from nextgpt.serve.engine.llm_scheduler import LLMScheduler
from nextgpt.serve.engine.request_state import RequestState


@dataclass(frozen=True)
class ReplicaConfig:
    """Which model a replica serves, and on what."""

    model: str
    device: str
    num_threads: int

    def apply(self) -> None:
        """Make this process ready for it."""
        torch.set_num_threads(self.num_threads)


@dataclass(frozen=True, eq=False)
class LLMStageResult:
    """The last thing that a speaker tells: everything is said, and these media are to be made."""

    thought: LLMOutput
    orders: tuple[SynthesisRequest, ...]
    prompt_tokens: int
    token_limit: int


def open_frozen_components(folder: Path, device: str) -> dict[str, Component]:
    """The frozen parts of a model, all for one device; each is loaded when it is asked for."""
    config = read_config(folder)
    return lazy_components(
        config, folder, make_memory_plan((), names=config.component_sources, device=device)
    )


class EncoderReplica:
    """First step: media to features, those of several requests in one batch."""

    def __init__(self, place: ReplicaConfig) -> None:
        place.apply()
        folder = resolve_model_dir(place.model)
        self._encoder = open_frozen_components(folder, place.device)["encoder"].get()
        self._cache = FeatureCache()

    @serve.batch(max_batch_size=16, batch_wait_timeout_s=0.005)
    async def encode(self, media: list[Medium]) -> list[Features]:
        """Features of media that were asked for one by one."""
        return await self.encode_all(media)

    async def encode_all(self, media: list[Medium]) -> list[Features]:
        """Features of several media."""
        found = await asyncio.to_thread(self._cache.get_or_encode, media, self._encoder.encode)
        return [replace(features, vectors=features.vectors.cpu()) for features in found]

    async def embed(self, items: Sequence[str | Medium]) -> list[list[float]]:
        """Vectors of the common space."""
        return await asyncio.to_thread(embed, self._encoder, items)


class LLMReplica:
    """Second to fourth step: conversations and features to words and orders, many conversations in one batch."""

    def __init__(self, place: ReplicaConfig, settings: EngineSettings) -> None:
        place.apply()
        self._model = NextGPT.from_pretrained(place.model, device=place.device)
        self._model.llm.prefix_cache = PrefixCache(
            max_bytes=settings.cache_bytes, max_entries=settings.cache_entries
        )
        self._numbers = itertools.count()
        self._orders: dict[int, list[SynthesisRequest]] = {}
        self._scheduler = LLMScheduler(
            self._model,
            max_running=settings.max_running,
            on_finished=self._on_llm_finished,
            on_stage_time=ignore_stage_time,
        )
        threading.Thread(target=self._scheduler.run, name="nextgpt-speaking", daemon=True).start()

    async def generate(
        self, job: EngineRequest, features: list[Features], edits: list[bytes]
    ) -> AsyncIterator[TextDelta | LLMStageResult]:
        """Answer a conversation up to its media; ``edits`` are the digests of its media that are edits."""
        self._model.record_edits(edits)
        number, ticket = next(self._numbers), RequestHandle(job)
        work = RequestState(number, ticket, features=features)
        self._scheduler.submit(work)
        try:
            async with aclosing(ticket.events()) as events:
                async for event in events:
                    if isinstance(event, TextDelta):
                        yield event
            orders = tuple(replace(order, condition=order.condition.cpu()) for order in self._orders[number])
            yield LLMStageResult(
                _without_states(work.teller.llm_output), orders, work.prompt_tokens, work.token_limit
            )
        finally:
            self._orders.pop(number, None)

    def _on_llm_finished(self, work: RequestState, orders: list[SynthesisRequest]) -> None:
        self._orders[work.number] = orders
        work.finish()


class SynthesizerReplica:
    """Fifth step: orders to media of one modality, alike ones in one batch."""

    def __init__(self, place: ReplicaConfig, settings: EngineSettings, modality: str) -> None:
        place.apply()
        folder = resolve_model_dir(place.model)
        synthesizer = open_frozen_components(folder, place.device)[modality].get()
        self._numbers = itertools.count()
        self._scheduler = DiffusionScheduler(
            lambda _: synthesizer,
            max_media=settings.max_media,
            on_finished=RequestState.finish,
            on_stage_time=ignore_stage_time,
        )
        threading.Thread(target=self._scheduler.run, name="nextgpt-making", daemon=True).start()

    async def synthesize(
        self, order: SynthesisRequest, has_previews: bool
    ) -> AsyncIterator[DenoisingProgress | Medium]:
        """Make a medium; tell every step on the way."""
        ticket = RequestHandle(EngineRequest(Conversation(), Sampling(seed=order.seed), has_previews))
        work = RequestState(next(self._numbers), ticket)
        segment = MediumSegment(order.modality, torch.zeros(0, 0), is_edit=order.edit_source is not None)
        work.on_llm_event(LLMOutput((segment,), ()))
        self._scheduler.submit(work, work.expect_media([replace(order, place=(0, 0))]))
        async with aclosing(ticket.events()) as events:
            async for event in events:
                if not isinstance(event, RequestOutput):
                    yield event


def _without_states(thought: LLMOutput) -> LLMOutput:
    """A thought whose conditions are known: hidden states need not travel."""
    return replace(
        thought,
        segments=tuple(
            replace(segment, hidden=torch.zeros(0, 0)) if isinstance(segment, MediumSegment) else segment
            for segment in thought.segments
        ),
    )
