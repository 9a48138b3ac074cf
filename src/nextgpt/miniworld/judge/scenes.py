"""Recognize background, objects, tints, places and sizes of an image.

The search is coarse to fine: windows four pixels apart at quarter size select places and candidates, then
every window nearby at half size selects the object.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from itertools import product

import numpy as np

from nextgpt.miniworld.backgrounds import SIDE_PX, background
from nextgpt.miniworld.judge.background import background_delta, find_backgrounds
from nextgpt.miniworld.judge.result import JudgeResult
from nextgpt.miniworld.judge.templates import TemplateBank, halve, template_bank
from nextgpt.miniworld.specs import PLACES, ObjectSpec, SceneSpec
from nextgpt.miniworld.sprites import SIZES_PX

_MARGIN_PX = 4
"""Distance that an object may extend beyond the image."""
_FIRST_SHARE, _FURTHER_SHARE = 0.15, 0.35
"""Minimum gain of the first and of further objects relative to their energy; less counts as chance."""
_VISIBLE_ENERGY = 1e4
"""Minimum squared difference from the background to explain; the faintest object has eight times that."""
_MAX_OBJECTS = {"small": 3, "large": 1}
_TOUCH_PX = 4
"""Allowed overlap of object boxes, since generated objects miss their places slightly."""
_COARSE_STEP_PX, _COARSE_HALVINGS = 4, 2
_NEARBY_PX = (-2, -1, 0, 1, 2)
_TOP_CANDIDATES = 96
"""Templates, of about 1,000, that the fine search compares."""
_CHUNK = 16


@dataclass(frozen=True)
class _FittedObject:
    spec: ObjectSpec
    gain: float


@dataclass(frozen=True, eq=False)
class _CompositeLayers:
    """Image minus background, with a margin on all sides, float32 (72, 72, channels)."""

    delta: np.ndarray
    """Difference from the background."""
    occluded_delta: np.ndarray
    """Product with the background, summed over the color channels: one channel."""
    occluded: np.ndarray
    """The background."""


def judge_scenes(images: np.ndarray) -> list[JudgeResult[SceneSpec]]:
    """Recognize images, uint8 (B, 64, 64, 3)."""
    results: list[JudgeResult[SceneSpec]] = []
    for start in range(0, len(images), _CHUNK):
        results += _judge_chunk(images[start : start + _CHUNK])
    return results


def _judge_chunk(images: np.ndarray) -> list[JudgeResult[SceneSpec]]:
    backgrounds = find_backgrounds(images)
    backdrop = np.stack([background(name) for name in backgrounds])
    delta = background_delta(backdrop, images)
    occluded_delta = _with_margin((delta * backdrop).sum(-1, keepdims=True))
    delta = _with_margin(delta)
    gains = {size: _coarse_gains(size, delta, occluded_delta, backgrounds) for size in SIZES_PX}
    return [
        _recognize(
            name,
            {size: gains[size][index] for size in SIZES_PX},
            _CompositeLayers(delta[index], occluded_delta[index], _background_with_margin(name)),
        )
        for index, name in enumerate(backgrounds)
    ]


def _recognize(name: str, gains: dict[str, np.ndarray], composite: _CompositeLayers) -> JudgeResult[SceneSpec]:
    """Explain the image by one large or up to three small objects, whichever has the higher gain."""
    energy = float(np.square(halve(composite.delta[None])).sum())
    explanations = [_fit_objects(size, gains[size], composite) for size in SIZES_PX]
    fitted = max(explanations, key=_total)
    residual = (energy - _total(fitted)) / max(energy, _VISIBLE_ENERGY)
    return JudgeResult(SceneSpec(tuple(fit.spec for fit in fitted), name), residual)


def _total(fitted: Iterable[_FittedObject]) -> float:
    return sum(fit.gain for fit in fitted)


def _fit_objects(size: str, gains: np.ndarray, composite: _CompositeLayers) -> list[_FittedObject]:
    """Select objects greedily by gain, in windows that do not overlap."""
    fitted: list[_FittedObject] = []
    corners = _corners(size)
    while len(fitted) < _MAX_OBJECTS[size]:
        window = gains.max(1).argmax()
        if not gains[window].max() > 0:
            break
        sprites = template_bank(size).select(np.argpartition(gains[window], -_TOP_CANDIDATES)[-_TOP_CANDIDATES:])
        min_share = _FURTHER_SHARE if fitted else _FIRST_SHARE
        refined = _refine(sprites, size, corners[window], composite, min_share)
        if refined is not None:
            fitted.append(refined)
        is_near = (np.abs(corners - corners[window]) < SIZES_PX[size] - _TOUCH_PX).all(1)
        gains[is_near] = -np.inf
    return fitted


def _refine(
    sprites: TemplateBank, size: str, corner: np.ndarray, composite: _CompositeLayers, min_share: float
) -> _FittedObject | None:
    """Match ``sprites`` in all windows around ``corner``; None if no gain is high enough."""
    side = SIZES_PX[size]
    limit = len(composite.delta) - side
    corners = np.clip([corner + np.array(aside) for aside in product(_NEARBY_PX, repeat=2)], 0, limit)
    delta, occluded_delta, backdrop = (
        halve(np.stack([layer[top : top + side, left : left + side] for top, left in corners]))
        for layer in (composite.delta, composite.occluded_delta, composite.occluded)
    )
    weight = np.ones(backdrop.shape[:-1], np.float32)
    norms = sprites.norms(weight, backdrop, np.square(backdrop).sum(-1))
    gains = sprites.gains(delta, occluded_delta, norms)
    gains[gains < min_share * norms] = -np.inf
    window, row = np.unravel_index(gains.argmax(), gains.shape)
    if not gains[window, row] > 0:
        return None
    name, tint = sprites.names[row]
    return _FittedObject(ObjectSpec(name, tint, _nearest_place(corners[window], side), size), float(gains[window, row]))


def _nearest_place(corner: np.ndarray, side: int) -> str:
    row, column = np.clip(np.rint(2 * (corner - _MARGIN_PX) / (SIDE_PX - side)), 0, 2).astype(int)
    return PLACES[3 * row + column]


def _coarse_gains(size: str, delta: np.ndarray, occluded_delta: np.ndarray, backgrounds: list[str]) -> np.ndarray:
    """Return the gain of each sprite in each coarse window of each image: float32 (B, windows, N)."""
    sprites = template_bank(size, _COARSE_HALVINGS)
    norms = np.concatenate([_coarse_norms(size, name) for name in backgrounds])
    windows = _windows(delta, sprites.side), _windows(occluded_delta, sprites.side)
    gains = sprites.gains(*windows, norms)
    gains[gains < _FIRST_SHARE * norms] = -np.inf
    return gains.reshape(len(delta), -1, len(sprites.names))


@cache
def _coarse_norms(size: str, name: str) -> np.ndarray:
    """Return the energy of each sprite in each window over one background, float32 (windows, N)."""
    sprites = template_bank(size, _COARSE_HALVINGS)
    backdrop = _windows(_background_with_margin(name)[None], sprites.side)
    weight = np.ones(backdrop.shape[:-1], np.float32)
    return sprites.norms(weight, backdrop, np.square(backdrop).sum(-1))


def _windows(images: np.ndarray, side: int) -> np.ndarray:
    """Extract coarse windows of (B, H, W, channels) row by row: (B * windows, side, side, channels)."""
    halved = halve(images, _COARSE_HALVINGS)
    views = np.lib.stride_tricks.sliding_window_view(halved, (side, side), axis=(1, 2))
    return np.moveaxis(views, 3, -1).reshape(-1, side, side, images.shape[-1])


@cache
def _corners(size: str) -> np.ndarray:
    """Return each coarse window's top left corner in pixels of the padded image, int (windows, 2)."""
    steps = np.arange(0, SIDE_PX + 2 * _MARGIN_PX - SIZES_PX[size] + 1, _COARSE_STEP_PX)
    return np.stack(np.meshgrid(steps, steps, indexing="ij"), -1).reshape(-1, 2)


def _with_margin(images: np.ndarray) -> np.ndarray:
    return np.pad(images, [(0, 0), (_MARGIN_PX, _MARGIN_PX), (_MARGIN_PX, _MARGIN_PX), (0, 0)])


@cache
def _background_with_margin(name: str) -> np.ndarray:
    return np.pad(background(name), [(_MARGIN_PX, _MARGIN_PX), (_MARGIN_PX, _MARGIN_PX), (0, 0)], mode="edge")
