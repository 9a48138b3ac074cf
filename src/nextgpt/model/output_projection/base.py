"""What every output projection offers."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from jaxtyping import Float
from torch import Tensor


@runtime_checkable
class OutputProjection(Protocol):
    """Hidden states at a modality's signal tokens to the condition of its synthesizer."""

    def __call__(
        self, hidden: Float[Tensor, "B S D"], signal_rows: Float[Tensor, "S D"]
    ) -> Float[Tensor, "B Q C"]:
        """One condition a run; ``signal_rows`` are the LLM's input rows of the same signal tokens."""
        ...
