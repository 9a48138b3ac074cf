"""Backgrounds: plain colors and four landscapes, drawn by formula."""

from __future__ import annotations

from functools import cache

import numpy as np

from nextgpt.errors import ConfigError, unknown_name_message
from nextgpt.miniworld.specs import BACKGROUNDS

SIDE_PX = 64
_PLAIN = {
    "white": (255, 255, 255),
    "gray": (160, 160, 160),
    "blue": (160, 200, 255),
    "green": (165, 228, 165),
    "yellow": (255, 242, 150),
    "pink": (255, 195, 215),
}
_SKY = (205, 230, 250)


@cache
def background(name: str, scale: int = 1) -> np.ndarray:
    """Return float32 (64 scale, 64 scale, 3), 0 to 255. Raises :class:`~nextgpt.errors.ConfigError` if unknown."""
    if name not in BACKGROUNDS:
        raise ConfigError(unknown_name_message("Background", name, BACKGROUNDS))
    side = SIDE_PX * scale
    if name in _PLAIN:
        image = np.broadcast_to(np.array(_PLAIN[name], np.float32), (side, side, 3)).copy()
    else:
        image = _LANDSCAPES[name](side)
    image.flags.writeable = False
    return image


def _grass(side: int) -> np.ndarray:
    y, x = _grid(side)
    hill = 0.36 + 0.05 * np.sin(2.2 * np.pi * x + 0.6)
    meadow = _gradient((y - hill) / 0.64, (120, 200, 80), (55, 140, 45)) + 7 * np.sin(9 * x + 14 * y)[..., None]
    return _above(y, hill, meadow)


def _sea(side: int) -> np.ndarray:
    y, x = _grid(side)
    waves = 9 * np.sin(34 * y + 1.6 * np.sin(5 * x))[..., None]
    water = _gradient((y - 0.36) / 0.64, (60, 165, 205), (15, 80, 150)) + waves
    return _above(y, np.full_like(y, 0.36), water)


def _night(side: int) -> np.ndarray:
    y, x = _grid(side)
    glow = np.exp(-((x - 0.8) ** 2 + (y - 0.15) ** 2) / 0.08)[..., None]
    return _gradient(y, (12, 14, 48), (40, 40, 92)) + glow * np.array((45, 45, 40), np.float32)


def _sunset(side: int) -> np.ndarray:
    y, _ = _grid(side)
    upper = _gradient(y / 0.6, (110, 60, 140), (255, 130, 70))
    lower = _gradient((y - 0.6) / 0.4, (255, 130, 70), (255, 205, 110))
    return np.where(y[..., None] < 0.6, upper, lower)


_LANDSCAPES = {"grass": _grass, "sea": _sea, "night": _night, "sunset": _sunset}


def _grid(side: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the row and column of each pixel center, in 0 to 1."""
    centres = (np.arange(side, dtype=np.float32) + 0.5) / side
    return np.meshgrid(centres, centres, indexing="ij")


def _gradient(share: np.ndarray, first: tuple[int, int, int], last: tuple[int, int, int]) -> np.ndarray:
    """Blend from ``first`` where ``share`` (H, W) is 0 to ``last`` where it is 1."""
    share = np.clip(share, 0, 1)[..., None]
    return (1 - share) * np.array(first, np.float32) + share * np.array(last, np.float32)


def _above(y: np.ndarray, horizon: np.ndarray, ground: np.ndarray) -> np.ndarray:
    """Draw a pale sky above ``horizon`` (H, W) and ``ground`` below, with an edge two pixels wide."""
    share = np.clip((y - horizon) * len(y) / 2 + 0.5, 0, 1)[..., None]
    sky = np.array(_SKY, np.float32)
    return (sky * (1 - share) + ground * share).astype(np.float32)
