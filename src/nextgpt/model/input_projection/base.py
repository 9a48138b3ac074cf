"""Interface of input projections."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from jaxtyping import Float
from torch import Tensor

from nextgpt.model.encoding.base import Features


@runtime_checkable
class InputProjection(Protocol):
    """Features to soft tokens."""

    soft_tokens: int
    """K, soft tokens per item."""

    def __call__(self, features: Sequence[Features], modalities: Sequence[str]) -> Float[Tensor, "N K D"]:
        """Project each item, of the modality at the same index, to its K soft tokens."""
        ...
