"""All tinted sprites side by side, ready to be matched with many windows of pictures at once.

Over a background ``b`` a sprite of light ``L`` and coverage ``C`` changes the picture by ``D = L - b C``. A window
whose difference from the background is ``r`` is explained by it up to ``|r - D|²``; what it explains, its *gain*, is
``|r|² - |r - D|² = 2 r·D - |D|²``. Both terms are linear in products of the sprite alone, so that one matrix product
gives the gain of every sprite in every window.

Everything is compared halved, once or twice, and so slightly blurred, which forgives what an autoencoder does to fine
detail.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np

from nextgpt.miniworld.objects import OBJECTS
from nextgpt.miniworld.sprites import sprite


@dataclass(frozen=True, eq=False)
class TemplateBank:
    """Every object in each of its tints, at one size; N rows, S x S halved pixels."""

    names: tuple[tuple[str, str], ...]
    """Object and tint of each row."""
    side: int
    """S."""
    premultiplied_rgb: np.ndarray
    """float32 (N, 3 S S)."""
    alpha: np.ndarray
    """float32 (N, S S)."""
    rgb_energy: np.ndarray
    """float32 (N, S S), summed over the colours."""
    rgb_alpha: np.ndarray
    """float32 (N, 3 S S)."""

    def select(self, rows: np.ndarray) -> TemplateBank:
        """The bank of some rows only."""
        return TemplateBank(
            names=tuple(self.names[row] for row in rows),
            side=self.side,
            premultiplied_rgb=self.premultiplied_rgb[rows],
            alpha=self.alpha[rows],
            rgb_energy=self.rgb_energy[rows],
            rgb_alpha=self.rgb_alpha[rows],
        )

    def norms(self, weight: np.ndarray, behind: np.ndarray, behind_squared: np.ndarray) -> np.ndarray:
        """``|D|²`` of every sprite in every window, float32 (windows, N).

        ``weight`` (windows, S, S) says how often each pixel counts; ``behind`` (windows, S, S, 3) and
        ``behind_squared`` (windows, S, S) are the background and its square, weighted alike.
        """
        return (
            _flat(weight) @ self.rgb_energy.T
            - 2 * _flat(behind) @ self.rgb_alpha.T
            + _flat(behind_squared) @ np.square(self.alpha).T
        )

    def gains(self, change: np.ndarray, change_behind: np.ndarray, norms: np.ndarray) -> np.ndarray:
        """What every sprite explains of every window, float32 (windows, N).

        ``change`` (windows, S, S, 3) is the difference from the background, ``change_behind`` (windows, S, S) its
        product with the background, summed over the colours.
        """
        return 2 * (_flat(change) @ self.premultiplied_rgb.T - _flat(change_behind) @ self.alpha.T) - norms


@cache
def template_bank(size: str, halvings: int = 1) -> TemplateBank:
    """The bank of sprites of one size, built at first use."""
    names = tuple((kind.name, tint) for kind in OBJECTS.values() for tint in kind.tints)
    drawings = [sprite(name, tint, size) for name, tint in names]
    light = halve(np.stack([drawing.premultiplied_rgb for drawing in drawings]), halvings)
    coverage = halve(np.stack([1 - drawing.inverse_alpha for drawing in drawings]), halvings)
    return TemplateBank(
        names=names,
        side=light.shape[1],
        premultiplied_rgb=_flat(light),
        alpha=_flat(coverage),
        rgb_energy=_flat(np.square(light).sum(-1)),
        rgb_alpha=_flat(light * coverage),
    )


def halve(pictures: np.ndarray, times: int = 1) -> np.ndarray:
    """Blur a little and halve (B, H, W, channels) in height and width, so many times; float32."""
    pictures = np.asarray(pictures, np.float32)
    for axis in (1, 2) * times:
        lines = np.moveaxis(pictures, axis, 0)
        before = np.concatenate([lines[:1], lines[1:-1:2]])
        after = np.concatenate([lines[2::2], lines[-1:]])
        pictures = np.moveaxis((before + 3 * lines[0::2] + 3 * lines[1::2] + after) / 8, 0, axis)
    return np.ascontiguousarray(pictures)


def _flat(windows: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(windows.reshape(len(windows), -1), dtype=np.float32)
