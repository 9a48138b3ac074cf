"""What a medium shows, read off its vector by one linear layer: the loss beside the contrast in the encoder's training.

Contrast alone learns what tells a batch apart and no more, which is the object long before it is the place. The input
projection is linear, so what it must carry to the language model has to be linear in the vector; this loss asks for
exactly that. Captions are used likewise beside contrast in CoCa (arXiv 2205.01917). The layer itself is not kept.
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

MOST_OBJECTS = 3
NOTHING = "nothing"
UNKNOWN = -100
MANY, MANY_WEIGHT = 20, 5.0
"""Attributes of more values than this weigh so much: objects and sources are learned last and asked for most."""
RESAMPLED, RESAMPLER_HEADS = 6, 4
_KINDS = (*OBJECTS, NOTHING)
CHOICES: dict[str, dict[str, tuple[str, ...]]] = {
    "image": {
        "background": BACKGROUNDS,
        **{
            f"{name} {position}": choices
            for position in range(MOST_OBJECTS)
            for name, choices in (("object", _KINDS), ("tint", TINTS), ("place", PLACES), ("size", SIZES))
        },
    },
    "audio": {"source": SOURCES, "pitch": PITCHES, "pattern": PATTERNS, "speed": SPEEDS},
    "video": {"object": tuple(OBJECTS), "tint": TINTS, "background": BACKGROUNDS, "motion": MOTIONS},
}
"""The attributes of each modality and their values; the objects of a picture are numbered as one reads."""


def attributes_of(content: MediaSpec) -> dict[str, str]:
    """The values that ``content`` has, by attribute; an object that is not there has no tint, place or size."""
    if isinstance(content, ClipSpec):
        return {name: getattr(content, name) for name in CHOICES["video"]}
    if not isinstance(content, SceneSpec):
        return {name: getattr(content, name) for name in CHOICES["audio"]}
    found = {"background": content.background}
    as_read = sorted(content.objects, key=lambda placed: PLACES.index(placed.place))
    for position, placed in enumerate(as_read):
        found |= {f"{name} {position}": getattr(placed, name) for name in ("object", "tint", "place", "size")}
    return found | {f"object {position}": NOTHING for position in range(len(as_read), MOST_OBJECTS)}


def labels_of(modality: str, contents: Sequence[MediaSpec]) -> Int[Tensor, "B attributes"]:
    """The values of contents of one modality as indices among the choices, ``UNKNOWN`` where there is none."""
    rows = []
    for content in contents:
        found = attributes_of(content)
        rows.append(
            [c.index(found[name]) if name in found else UNKNOWN for name, c in CHOICES[modality].items()]
        )
    return torch.tensor(rows)


class AttributeReadout(nn.Module):
    """One linear layer a modality, from vectors to scores of every value of every attribute."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.layers = nn.ModuleDict(
            {
                modality: nn.Linear(width, sum(map(len, choices.values())))
                for modality, choices in CHOICES.items()
            }
        )

    def forward(
        self, modality: str, vectors: Float[Tensor, "B E"], labels: Int[Tensor, "B attributes"]
    ) -> tuple[Tensor, Tensor]:
        """The cross-entropy averaged over attributes, those of many values weighing more; and the share of items of
        which every attribute is read right.
        """
        scores = self.layers[modality](vectors).float()
        columns = scores.split([len(choices) for choices in CHOICES[modality].values()], dim=1)
        losses, weights, right = [], [], torch.ones(len(vectors), dtype=torch.bool, device=vectors.device)
        for column, label in zip(columns, labels.T, strict=True):
            if (label == UNKNOWN).all():
                continue
            losses.append(F.cross_entropy(column, label, ignore_index=UNKNOWN))
            weights.append(MANY_WEIGHT if column.shape[1] > MANY else 1.0)
            right &= (column.argmax(dim=1) == label) | (label == UNKNOWN)
        weight = torch.tensor(weights, device=vectors.device)
        return (torch.stack(losses) * weight).sum() / weight.sum(), right.float().mean()


class TokenReadout(nn.Module):
    """The same from vectors of all tokens: a resampler finds a few of them, and one linear layer reads those."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.resampler = ResamplerProjection(
            width, width, soft_tokens=RESAMPLED, shared=False, width=width, heads=RESAMPLER_HEADS, layers=1
        )
        self.readout = AttributeReadout(RESAMPLED * width)

    def forward(
        self, modality: str, tokens: Float[Tensor, "B T E"], labels: Int[Tensor, "B attributes"]
    ) -> tuple[Tensor, Tensor]:
        """As :class:`AttributeReadout`; ``tokens`` have length 1."""
        found = self.resampler.networks[modality](tokens * math.sqrt(tokens.shape[-1]))  # (B, RESAMPLED, E)
        return self.readout(modality, found.flatten(1) / INIT_STD, labels)
