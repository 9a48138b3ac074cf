"""Interface of encoders, and the features that they return."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from jaxtyping import Float
from torch import Tensor

from nextgpt.message import Medium


@dataclass(frozen=True, eq=False)
class Features:
    """Features of one medium."""

    vectors: Float[Tensor, "P E"]
    """Pooled vector (P = 1), or one vector per patch."""


@runtime_checkable
class Encoder(Protocol):
    """Encodes media and texts to vectors."""

    @property
    def width(self) -> int:
        """Size E of all vectors."""
        ...

    @property
    def modalities(self) -> tuple[str, ...]:
        """Modalities that it encodes; ``text`` if :meth:`embed_text` works."""
        ...

    def encode(self, media: Sequence[Medium]) -> list[Features]:
        """Return the features of media of any modalities, in order, without gradients."""
        ...

    def embed_media(self, media: Sequence[Medium]) -> Float[Tensor, "B E"]:
        """Return one vector of norm 1 per medium, without gradients; the mean of its features if no other is better."""
        ...

    def embed_text(self, texts: Sequence[str]) -> Float[Tensor, "B E"]:
        """Return one vector of any norm per text, in the space of :meth:`embed_media`, without gradients."""
        ...
