"""Code of the replicas: each holds one stage of the model and batches its requests.

The LLM and the synthesizers are driven by the same schedulers as in the local engine.
"""

from __future__ import annotations

import asyncio
import itertools
import threading
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Any

import torch
from ray import serve

from nextgpt.config import read_config
from nextgpt.message import Conversation, DenoisingProgress, Medium, MediumFinished, Sampling, TextDelta
from nextgpt.model.encoding.base import Features
from nextgpt.model.feature_cache import FeatureCache
from nextgpt.model.llm.output import LLMOutput, MediumSegment
from nextgpt.model.llm.prefix_cache import PrefixCache
from nextgpt.model.loading import lazy_components, make_memory_plan
from nextgpt.model.model_dir import resolve_model_dir
from nextgpt.model.nextgpt import NextGPT
from nextgpt.model.synthesis.batching import SynthesisRequest
from nextgpt.serve.engine.base import EngineRequest, EngineSettings, RequestHandle, ignore_stage_time
from nextgpt.serve.engine.diffusion_scheduler import DiffusionScheduler
from nextgpt.serve.engine.embedding import embed
from nextgpt.serve.engine.llm_scheduler import LLMScheduler
from nextgpt.serve.engine.request_state import RequestState


@dataclass(frozen=True)
class ReplicaConfig:
    """Model and device of a replica."""

    model: str
    device: str
    num_threads: int

    def apply(self) -> None:
        """Configure torch in this process."""
        torch.set_num_threads(self.num_threads)

    def load_component(self, name: str) -> Any:
        """Load one frozen component."""
        model_dir = resolve_model_dir(self.model)
        config = read_config(model_dir)
        plan = make_memory_plan((), names=config.component_sources, device=self.device)
        return lazy_components(config, model_dir, plan)[name].get()


@dataclass(frozen=True, eq=False)
class LLMStageResult:
    """Last event of the LLM stage."""

    llm_output: LLMOutput
    synthesis_requests: tuple[SynthesisRequest, ...]
    prompt_tokens: int
    token_limit: int
    truncated_turns: int


class EncoderReplica:
    """Encoder stage: media to features, media of several requests in one batch."""

    def __init__(self, config: ReplicaConfig) -> None:
        config.apply()
        self._encoder = config.load_component("encoder")
        self._cache = FeatureCache()

    @serve.batch(max_batch_size=16, batch_wait_timeout_s=0.005)
    async def encode(self, media: list[Medium]) -> list[Features]:
        """Encode media; callers pass one medium each, Ray batches the calls."""
        return await self.encode_all(media)

    async def encode_all(self, media: list[Medium]) -> list[Features]:
        """Encode several media."""
        features = await asyncio.to_thread(self._cache.get_or_encode, media, self._encoder.encode)
        return [replace(item, vectors=item.vectors.cpu()) for item in features]

    async def embed(self, items: Sequence[str | Medium]) -> list[list[float]]:
        """Return a vector in the common space per text or medium."""
        return await asyncio.to_thread(embed, self._encoder, items)


class LLMReplica:
    """LLM stage: conversations and features to text and synthesis requests, with continuous batching."""

    def __init__(self, config: ReplicaConfig, settings: EngineSettings) -> None:
        config.apply()
        self._model = NextGPT.from_pretrained(config.model, device=config.device)
        self._model.llm.prefix_cache = PrefixCache(max_bytes=settings.cache_bytes, max_entries=settings.cache_entries)
        self._numbers = itertools.count()
        self._synthesis_requests: dict[int, list[SynthesisRequest]] = {}
        self._scheduler = LLMScheduler(
            self._model,
            max_running=settings.max_running,
            on_finished=self._on_llm_finished,
            on_stage_time=ignore_stage_time,
        )
        threading.Thread(target=self._scheduler.run, name="nextgpt-llm", daemon=True).start()

    async def generate(
        self, request: EngineRequest, features: list[Features], edits: list[bytes]
    ) -> AsyncIterator[TextDelta | LLMStageResult]:
        """Answer a conversation up to its media.

        Args:
            edits: Digests of the conversation's media that are edits of earlier media.
        """
        self._model.record_edits(edits)
        number, handle = next(self._numbers), RequestHandle(request)
        state = RequestState(number, handle, features=features)
        self._scheduler.submit(state)
        try:
            async with aclosing(handle.events()) as events:
                async for event in events:
                    if isinstance(event, TextDelta):
                        yield event
            requests = self._synthesis_requests[number]
            requests = tuple(replace(item, condition=item.condition.cpu()) for item in requests)
            llm_output = _without_hidden_states(state.assembler.llm_output)
            yield LLMStageResult(llm_output, requests, state.prompt_tokens, state.token_limit, state.truncated_turns)
        finally:
            self._synthesis_requests.pop(number, None)

    def _on_llm_finished(self, state: RequestState, requests: list[SynthesisRequest]) -> None:
        self._synthesis_requests[state.number] = requests
        state.finish()


class SynthesizerReplica:
    """Synthesizer stage: synthesis requests to media of one modality, with batching."""

    def __init__(self, config: ReplicaConfig, settings: EngineSettings, modality: str) -> None:
        config.apply()
        synthesizer = config.load_component(modality)
        self._numbers = itertools.count()
        self._scheduler = DiffusionScheduler(
            lambda _: synthesizer,
            max_media=settings.max_media,
            on_finished=RequestState.finish,
            on_stage_time=ignore_stage_time,
        )
        threading.Thread(target=self._scheduler.run, name=f"nextgpt-{modality}", daemon=True).start()

    async def synthesize(
        self, request: SynthesisRequest, has_previews: bool
    ) -> AsyncIterator[DenoisingProgress | Medium]:
        """Generate a medium; yield every denoising step, then the medium."""
        handle = RequestHandle(EngineRequest(Conversation(), Sampling(seed=request.seed), has_previews))
        state = RequestState(next(self._numbers), handle)
        is_edit = request.edit_source is not None
        segment = MediumSegment(request.modality, torch.zeros(0, 0), is_edit=is_edit)
        state.on_llm_event(LLMOutput((segment,), ()))
        self._scheduler.submit(state, state.expect_media([replace(request, key=(0, 0))]))
        async with aclosing(handle.events()) as events:
            async for event in events:
                if isinstance(event, DenoisingProgress):
                    yield event
                elif isinstance(event, MediumFinished):
                    yield event.medium


def _without_hidden_states(llm_output: LLMOutput) -> LLMOutput:
    """Drop the hidden states, so that they are not sent over the network; the conditions are already computed."""
    return replace(
        llm_output,
        segments=tuple(
            replace(item, hidden_states=torch.zeros(0, 0)) if isinstance(item, MediumSegment) else item
            for item in llm_output.segments
        ),
    )
