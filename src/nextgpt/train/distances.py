"""How far conditions are from what the text encoder says of their captions, one function a distance."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from nextgpt.train.stage import Distance


def squared(said: Float[Tensor, "B Q C"], wanted: Float[Tensor, "B Q C"]) -> Float[Tensor, ""]:
    """Mean squared difference of all numbers."""
    return (said - wanted).square().mean()


def l2(said: Float[Tensor, "B Q C"], wanted: Float[Tensor, "B Q C"]) -> Float[Tensor, ""]:
    """Mean length of the difference of vectors, as the published code has it (its loss has no square)."""
    return (said - wanted).norm(dim=-1).mean()


def cosine(said: Float[Tensor, "B Q C"], wanted: Float[Tensor, "B Q C"]) -> Float[Tensor, ""]:
    """One minus the mean cosine of vectors: 0 where all point the same way, for targets of unit length (AudioLDM)."""
    return 1 - F.cosine_similarity(said, wanted, dim=-1).mean()


MEASURES: Mapping[Distance, Callable[[Tensor, Tensor], Tensor]] = {
    "squared": squared,
    "l2": l2,
    "cosine": cosine,
}
"""Each is a mean over the media of a batch."""
