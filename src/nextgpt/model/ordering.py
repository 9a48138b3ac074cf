"""Between thought and synthesis: each medium that thoughts ask for, as an order with condition, seed and source."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

import torch
from jaxtyping import Float
from torch import Tensor

from nextgpt.message import Conversation, Medium, Sampling
from nextgpt.modality import MODALITIES
from nextgpt.model.llm.thought import MediumSegment, Thought
from nextgpt.model.rendering import Order, Place

Number = TypeVar("Number", int, float)
Project = Callable[[str, Tensor], Tensor]
"""``(modality, hidden (B, S, D)) -> conditions (B, Q, C)``."""


def order(
    thoughts: Sequence[Thought],
    conversations: Sequence[Conversation],
    samplings: Sequence[Sampling],
    project: Project,
) -> list[Order]:
    """What the thoughts ask for, in speaking order; conditions of one modality are projected side by side."""
    wanted = {
        (row, position): segment
        for row, thought in enumerate(thoughts)
        for position, segment in enumerate(thought.segments)
        if isinstance(segment, MediumSegment)
    }
    conditions = _conditions(wanted, project)
    return [
        Order(
            place,
            segment.modality,
            conditions[place],
            seed=samplings[place[0]].seed + place[1],
            steps=_setting(samplings[place[0]].steps, segment.modality),
            guidance=_setting(samplings[place[0]].guidance, segment.modality),
            source=_source(place, wanted, conversations[place[0]]) if segment.is_edit else None,
        )
        for place, segment in wanted.items()
    ]


def _conditions(wanted: Mapping[Place, MediumSegment], project: Project) -> dict[Place, Float[Tensor, "Q C"]]:
    conditions: dict[Place, Tensor] = {}
    for modality in MODALITIES:
        alike = {place: segment.hidden for place, segment in wanted.items() if segment.modality == modality}
        if alike:
            conditions |= zip(alike, project(modality, torch.stack(list(alike.values()))), strict=True)
    return conditions


def _source(
    place: Place, wanted: Mapping[Place, MediumSegment], conversation: Conversation
) -> Medium | Place | None:
    """What an edit starts from: the last medium of its modality, in the same answer or before."""
    modality = wanted[place].modality
    earlier = [
        other
        for other, segment in wanted.items()
        if other[0] == place[0] and other < place and segment.modality == modality
    ]
    return earlier[-1] if earlier else conversation.last_medium(modality)


def _setting(setting: Number | Mapping[str, Number] | None, modality: str) -> Number | None:
    """A setting that may be one for all modalities, one for each, or left to the model."""
    return setting.get(modality) if isinstance(setting, Mapping) else setting
