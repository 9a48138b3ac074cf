"""What every input projection offers."""

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
    """K, the soft tokens an item becomes."""

    def __call__(self, features: Sequence[Features], modalities: Sequence[str]) -> Float[Tensor, "N K D"]:
        """K soft tokens for each item of the modality named beside it; several items stay separate."""
        ...
