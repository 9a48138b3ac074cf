"""Interface of output projections."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from jaxtyping import Float
from torch import Tensor


@runtime_checkable
class OutputProjection(Protocol):
    """Projects hidden states at a modality's signal tokens to conditions of its synthesizer."""

    def __call__(self, hidden: Float[Tensor, "B S D"], signal_rows: Float[Tensor, "S D"]) -> Float[Tensor, "B Q C"]:
        """Return one condition per span; ``signal_rows`` are the input embeddings of the signal tokens."""
        ...
