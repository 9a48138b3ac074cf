"""Attribute classification from encoder vectors: the loss beside the contrastive one in the encoder's training.

Contrast alone learns whatever separates a batch, which is the object long before it is the place. The input projection
is nearly linear, so attributes must be linearly readable from the vector; this loss requires exactly that. CoCa
combines captions and contrast in the same way (arXiv 2205.01917). The classifier itself is not kept.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from nextgpt.miniworld.objects import OBJECTS
from nextgpt.miniworld.specs import (
    BACKGROUNDS,
    MOTIONS,
    PATTERNS,
    PITCHES,
    PLACES,
    SIZES,
    SOURCES,
    SPEEDS,
    TINTS,
    ClipSpec,
    MediaSpec,
    SceneSpec,
)
from nextgpt.model.input_projection.linear import INIT_STD
from nextgpt.model.input_projection.resampler import ResamplerProjection

MAX_OBJECTS = 3
NO_OBJECT = "nothing"
IGNORE_INDEX = -100
MANY_VALUES, MANY_VALUES_WEIGHT = 20, 5.0
"""Loss weight of attributes with more values than that: objects and sources are learned last and matter most."""
RESAMPLED_TOKENS, RESAMPLER_HEADS = 6, 4
ATTRIBUTE_VALUES: dict[str, dict[str, tuple[str, ...]]] = {
    "image": {
        "background": BACKGROUNDS,
        **{
            f"{name} {position}": values
            for position in range(MAX_OBJECTS)
            for name, values in (
                ("object", (*OBJECTS, NO_OBJECT)), ("tint", TINTS), ("place", PLACES), ("size", SIZES)
            )
        },
    },
    "audio": {"source": SOURCES, "pitch": PITCHES, "pattern": PATTERNS, "speed": SPEEDS},
    "video": {"object": tuple(OBJECTS), "tint": TINTS, "background": BACKGROUNDS, "motion": MOTIONS},
}  # fmt: skip
"""Attributes of each modality and their values; the objects of an image are numbered in reading order."""


def attributes_of(spec: MediaSpec) -> dict[str, str]:
    """Return attribute values by name; an object that is missing has no tint, place or size."""
    if not isinstance(spec, SceneSpec):
        modality = "video" if isinstance(spec, ClipSpec) else "audio"
        return {name: getattr(spec, name) for name in ATTRIBUTE_VALUES[modality]}
    values = {"background": spec.background}
    in_order = sorted(spec.objects, key=lambda placed: PLACES.index(placed.place))
    for position, placed in enumerate(in_order):
        values |= {f"{name} {position}": getattr(placed, name) for name in ("object", "tint", "place", "size")}
    return values | {f"object {position}": NO_OBJECT for position in range(len(in_order), MAX_OBJECTS)}


def attribute_labels(modality: str, specs: Sequence[MediaSpec]) -> Int[Tensor, "B attributes"]:
    """Return attribute values as class indices, ``IGNORE_INDEX`` for missing attributes."""
    rows = []
    for spec in specs:
        values = attributes_of(spec)
        rows.append([
            classes.index(values[name]) if name in values else IGNORE_INDEX
            for name, classes in ATTRIBUTE_VALUES[modality].items()
        ])  # fmt: skip
    return torch.tensor(rows)


class AttributeClassifier(nn.Module):
    """A linear layer per modality, from vectors to logits of every value of every attribute."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.layers = nn.ModuleDict({
            modality: nn.Linear(width, sum(map(len, values.values())))
            for modality, values in ATTRIBUTE_VALUES.items()
        })  # fmt: skip

    def forward(
        self, modality: str, vectors: Float[Tensor, "B E"], labels: Int[Tensor, "B attributes"]
    ) -> tuple[Tensor, Tensor]:
        """Return the weighted cross-entropy over attributes, and the share of items with all attributes correct."""
        logits = self.layers[modality](vectors).float()
        columns = logits.split([len(values) for values in ATTRIBUTE_VALUES[modality].values()], dim=1)
        losses, weights, correct = [], [], torch.ones(len(vectors), dtype=torch.bool, device=vectors.device)
        for column, label in zip(columns, labels.T, strict=True):
            if (label == IGNORE_INDEX).all():
                continue
            losses.append(F.cross_entropy(column, label, ignore_index=IGNORE_INDEX))
            weights.append(MANY_VALUES_WEIGHT if column.shape[1] > MANY_VALUES else 1.0)
            correct &= (column.argmax(dim=1) == label) | (label == IGNORE_INDEX)
        weight = torch.tensor(weights, device=vectors.device)
        return (torch.stack(losses) * weight).sum() / weight.sum(), correct.float().mean()


class TokenAttributeClassifier(nn.Module):
    """The same from all token vectors: a resampler reduces them to a few, which one linear layer classifies."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.resampler = ResamplerProjection(
            width, width, soft_tokens=RESAMPLED_TOKENS, shared=False, width=width, heads=RESAMPLER_HEADS, layers=1
        )
        self.classifier = AttributeClassifier(RESAMPLED_TOKENS * width)

    def forward(
        self, modality: str, tokens: Float[Tensor, "B T E"], labels: Int[Tensor, "B attributes"]
    ) -> tuple[Tensor, Tensor]:
        """Return loss and share as :class:`AttributeClassifier` does; ``tokens`` have length 1."""
        resampled = self.resampler.networks[modality](tokens * math.sqrt(tokens.shape[-1]))
        return self.classifier(modality, resampled.flatten(1) / INIT_STD, labels)
