"""What the first step gives to the second, and what every encoder can do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from jaxtyping import Float
from torch import Tensor

from nextgpt.message import Medium


@dataclass(frozen=True, eq=False)
class Features:
    """What an encoder saw or heard in one medium."""

    vectors: Float[Tensor, "P E"]
    """One pooled vector (P = 1), or one for each patch."""


@runtime_checkable
class Encoder(Protocol):
    """Turns media and texts into vectors of one common space."""

    @property
    def width(self) -> int:
        """Length E of every vector."""
        ...

    def encode(self, media: Sequence[Medium]) -> list[Features]:
        """Features of every medium, in order; pictures, sounds and films may be mixed. Nothing is trained."""
        ...

    def embed_text(self, texts: Sequence[str]) -> Float[Tensor, "B E"]:
        """One vector a text, in the same space. Nothing is trained."""
        ...
