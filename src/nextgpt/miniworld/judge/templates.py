"""All tinted sprites as template matrices, to match them with many image windows at once.

Over a background ``b`` a sprite of premultiplied color ``L`` and alpha ``C`` changes the image by ``D = L - b
C``. If a window differs from the background by ``r``, the sprite leaves the residual ``|r - D|²``. Its *gain*
is ``|r|² - |r - D|² = 2 r·D - |D|²``. Both terms are linear in products of the sprite alone, so one matrix
product gives the gain of every sprite in every window.

All images are compared at half or quarter size. The blur of halving tolerates the detail that an autoencoder
loses.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np

from nextgpt.miniworld.objects import OBJECTS
from nextgpt.miniworld.sprites import sprite


@dataclass(frozen=True, eq=False)
class TemplateBank:
    """Every object in each of its tints at one size: N templates of S x S halved pixels."""

    names: tuple[tuple[str, str], ...]
    """Object and tint of each template."""
    side: int
    """S."""
    premultiplied_rgb: np.ndarray
    """float32 (N, 3 S S)."""
    alpha: np.ndarray
    """float32 (N, S S)."""
    rgb_energy: np.ndarray
    """float32 (N, S S), summed over the color channels."""
    rgb_alpha: np.ndarray
    """float32 (N, 3 S S): color times alpha."""

    def select(self, rows: np.ndarray) -> TemplateBank:
        """Return a bank of the given templates."""
        return TemplateBank(
            names=tuple(self.names[row] for row in rows),
            side=self.side,
            premultiplied_rgb=self.premultiplied_rgb[rows],
            alpha=self.alpha[rows],
            rgb_energy=self.rgb_energy[rows],
            rgb_alpha=self.rgb_alpha[rows],
        )

    def norms(self, weight: np.ndarray, backdrop: np.ndarray, backdrop_energy: np.ndarray) -> np.ndarray:
        """Return ``|D|²`` of every template in every window, float32 (windows, N).

        ``weight`` (windows, S, S) is the weight of each pixel; ``backdrop`` (windows, S, S, 3) and
        ``backdrop_energy`` (windows, S, S) are the background and its square with the same weights.
        """
        return (
            _flat(weight) @ self.rgb_energy.T
            - 2 * _flat(backdrop) @ self.rgb_alpha.T
            + _flat(backdrop_energy) @ np.square(self.alpha).T
        )

    def gains(self, delta: np.ndarray, occluded_delta: np.ndarray, norms: np.ndarray) -> np.ndarray:
        """Return the gain of every template in every window, float32 (windows, N).

        ``delta`` (windows, S, S, 3) is the difference from the background, ``occluded_delta`` (windows, S, S)
        its product with the background, summed over the color channels.
        """
        return 2 * (_flat(delta) @ self.premultiplied_rgb.T - _flat(occluded_delta) @ self.alpha.T) - norms


@cache
def template_bank(size: str, halvings: int = 1) -> TemplateBank:
    """Build the templates of one size."""
    names = tuple((kind.name, tint) for kind in OBJECTS.values() for tint in kind.tints)
    sprites = [sprite(name, tint, size) for name, tint in names]
    rgb = halve(np.stack([image.premultiplied_rgb for image in sprites]), halvings)
    alpha = halve(np.stack([1 - image.inverse_alpha for image in sprites]), halvings)
    return TemplateBank(
        names=names,
        side=rgb.shape[1],
        premultiplied_rgb=_flat(rgb),
        alpha=_flat(alpha),
        rgb_energy=_flat(np.square(rgb).sum(-1)),
        rgb_alpha=_flat(rgb * alpha),
    )


def halve(images: np.ndarray, times: int = 1) -> np.ndarray:
    """Blur (B, H, W, channels) slightly and halve height and width, ``times`` times; float32."""
    images = np.asarray(images, np.float32)
    for axis in (1, 2) * times:
        lines = np.moveaxis(images, axis, 0)
        before = np.concatenate([lines[:1], lines[1:-1:2]])
        after = np.concatenate([lines[2::2], lines[-1:]])
        images = np.moveaxis((before + 3 * lines[0::2] + 3 * lines[1::2] + after) / 8, 0, axis)
    return np.ascontiguousarray(images)


def _flat(windows: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(windows.reshape(len(windows), -1), dtype=np.float32)
