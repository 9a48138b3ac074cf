"""Recognize the background of an image behind its objects, and subtract it."""

from __future__ import annotations

from functools import cache

import numpy as np

from nextgpt.miniworld.backgrounds import background
from nextgpt.miniworld.judge.templates import halve
from nextgpt.miniworld.specs import BACKGROUNDS

_CUTOFF = 60.0
"""Color distance above which a pixel counts as an object in front of the background."""


def find_backgrounds(images: np.ndarray) -> list[str]:
    """Return the most likely background of each image, uint8 or float (B, 64, 64, 3)."""
    distances = np.square(halve(images)[:, None] - _halved_backgrounds()).sum(-1)  # (B, backgrounds, 32, 32)
    nearest = np.minimum(distances, _CUTOFF**2).mean((2, 3)).argmin(1)
    return [BACKGROUNDS[index] for index in nearest]


def background_delta(backdrop: np.ndarray, images: np.ndarray) -> np.ndarray:
    """Subtract the background, float32 (B, 64, 64, 3), and remove a uniform color cast.

    Generated backgrounds are often slightly too dark or too warm. ``backdrop`` must broadcast to ``images``.
    """
    delta = images.astype(np.float32) - backdrop
    is_free = (np.square(delta).sum(-1, keepdims=True) < _CUTOFF**2).astype(np.float32)
    cast = (delta * is_free).sum((1, 2), keepdims=True) / np.maximum(is_free.sum((1, 2), keepdims=True), 1)
    return delta - cast


@cache
def _halved_backgrounds() -> np.ndarray:
    """Return all backgrounds at half size, float32 (backgrounds, 32, 32, 3)."""
    return halve(np.stack([background(name) for name in BACKGROUNDS]))
