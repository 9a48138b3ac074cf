"""Turn LLM outputs into synthesis requests: one per medium, with its condition, seed and edit source."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

import torch
from jaxtyping import Float
from torch import Tensor

from nextgpt.message import Conversation, Medium, Sampling
from nextgpt.modality import MODALITIES
from nextgpt.model.llm.output import LLMOutput, MediumSegment
from nextgpt.model.synthesis.batching import SegmentKey, SynthesisRequest

Number = TypeVar("Number", int, float)
ProjectFn = Callable[[str, Tensor], Tensor]
"""``(modality, hidden states (B, S, D)) -> conditions (B, Q, C)``."""


def build_synthesis_requests(
    outputs: Sequence[LLMOutput],
    conversations: Sequence[Conversation],
    samplings: Sequence[Sampling],
    project: ProjectFn,
) -> list[SynthesisRequest]:
    """Build the requests of all replies in output order; each modality is projected in one batch."""
    segments = {
        (row, index): segment
        for row, output in enumerate(outputs)
        for index, segment in enumerate(output.segments)
        if isinstance(segment, MediumSegment)
    }
    conditions = _project_conditions(segments, project)
    return [
        SynthesisRequest(
            (row, index),
            segment.modality,
            conditions[row, index],
            seed=samplings[row].seed + index,
            num_inference_steps=_per_modality(samplings[row].num_inference_steps, segment.modality),
            guidance_scale=_per_modality(samplings[row].guidance_scale, segment.modality),
            edit_source=_edit_source((row, index), segments, conversations[row]) if segment.is_edit else None,
        )
        for (row, index), segment in segments.items()
    ]


def _project_conditions(
    segments: Mapping[SegmentKey, MediumSegment], project: ProjectFn
) -> dict[SegmentKey, Float[Tensor, "Q C"]]:
    conditions: dict[SegmentKey, Tensor] = {}
    for modality in MODALITIES:
        hidden = {key: item.hidden_states for key, item in segments.items() if item.modality == modality}
        if hidden:
            conditions |= zip(hidden, project(modality, torch.stack(list(hidden.values()))), strict=True)
    return conditions


def _edit_source(
    key: SegmentKey, segments: Mapping[SegmentKey, MediumSegment], conversation: Conversation
) -> Medium | SegmentKey | None:
    """Return the last medium of the same modality, in this reply or earlier in the conversation."""
    modality = segments[key].modality
    earlier = [
        other
        for other, segment in segments.items()
        if other[0] == key[0] and other < key and segment.modality == modality
    ]
    return earlier[-1] if earlier else conversation.last_medium(modality)


def _per_modality(setting: Number | Mapping[str, Number] | None, modality: str) -> Number | None:
    """Resolve a setting that is one value for all modalities, one per modality, or unset."""
    return setting.get(modality) if isinstance(setting, Mapping) else setting
