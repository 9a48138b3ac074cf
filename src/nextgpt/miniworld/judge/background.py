"""Which background a picture or a clip has, whatever stands in front of it, and what differs from it."""

from __future__ import annotations

from functools import cache

import numpy as np

from nextgpt.miniworld.backgrounds import background
from nextgpt.miniworld.judge.templates import halve
from nextgpt.miniworld.specs import BACKGROUNDS

_CUTOFF = 60.0
"""A pixel whose colour is further away than this says only that something stands in front of it."""


def find_backgrounds(pictures: np.ndarray) -> list[str]:
    """The likeliest background of each picture, uint8 or float (B, 64, 64, 3)."""
    distances = np.square(halve(pictures)[:, None] - _halved_backgrounds()).sum(
        -1
    )  # (B, backgrounds, 32, 32)
    nearest = np.minimum(distances, _CUTOFF**2).mean((2, 3)).argmin(1)
    return [BACKGROUNDS[index] for index in nearest]


def background_delta(behind: np.ndarray, pictures: np.ndarray) -> np.ndarray:
    """What differs from the background, float32 (B, 64, 64, 3), after a common cast of colour is taken away.

    A generated background is often right but a little too dark or too warm; ``behind`` has the shape of ``pictures``
    or spreads to it.
    """
    change = pictures.astype(np.float32) - behind
    is_free = (np.square(change).sum(-1, keepdims=True) < _CUTOFF**2).astype(np.float32)
    cast = (change * is_free).sum((1, 2), keepdims=True) / np.maximum(is_free.sum((1, 2), keepdims=True), 1)
    return change - cast


@cache
def _halved_backgrounds() -> np.ndarray:
    """All backgrounds at half size, float32 (backgrounds, 32, 32, 3)."""
    return halve(np.stack([background(name) for name in BACKGROUNDS]))
