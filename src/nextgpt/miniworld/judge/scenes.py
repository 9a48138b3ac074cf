"""What a picture shows: its background, and one to three objects with tint, place and size.

The judge looks twice. Coarsely, at a quarter of the size, in windows four pixels apart, to find where something stands
and what it might be; then closely, at half the size, in every window around, to say what it is.
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
"""How far beyond the edge of a picture an object may reach."""
_FIRST_SHARE, _FURTHER_SHARE = 0.15, 0.35
"""An object is seen where it explains at least this share of what it would change; less is chance."""
_VISIBLE_ENERGY = 1e4
"""Squared differences from the background that are worth explaining; the faintest object has eight times as much."""
_MAX_OBJECTS = {"small": 3, "large": 1}
_TOUCH_PX = 4
"""Objects of one picture may come this close into each other's boxes: generated ones miss their places a little."""
_COARSE_STEP_PX, _COARSE_HALVINGS = 4, 2
_NEARBY_PX = (-2, -1, 0, 1, 2)
_TOP_CANDIDATES = 96
"""Of about a thousand sprites, so many are looked at closely."""
_CHUNK = 16


@dataclass(frozen=True)
class _FittedObject:
    spec: ObjectSpec
    gain: float


@dataclass(frozen=True, eq=False)
class _CompositeLayers:
    """A picture taken apart, with a margin on all sides, float32 (72, 72, channels)."""

    delta: np.ndarray
    """What differs from the background."""
    occluded_delta: np.ndarray
    """Its product with the background, summed over the colours: one channel."""
    occluded: np.ndarray
    """The background."""


def judge_scenes(pictures: np.ndarray) -> list[JudgeResult[SceneSpec]]:
    """Say what pictures, uint8 (B, 64, 64, 3), show."""
    verdicts: list[JudgeResult[SceneSpec]] = []
    for start in range(0, len(pictures), _CHUNK):
        verdicts += _judge_chunk(pictures[start : start + _CHUNK])
    return verdicts


def _judge_chunk(pictures: np.ndarray) -> list[JudgeResult[SceneSpec]]:
    names = find_backgrounds(pictures)
    behind = np.stack([background(name) for name in names])
    change = background_delta(behind, pictures)
    change_behind = _with_margin((change * behind).sum(-1, keepdims=True))
    change = _with_margin(change)
    gains = {size: _coarse_gains(size, change, change_behind, names) for size in SIZES_PX}
    return [
        _verdict(
            name,
            {size: gains[size][index] for size in SIZES_PX},
            _CompositeLayers(change[index], change_behind[index], _background_with_margin(name)),
        )
        for index, name in enumerate(names)
    ]


def _verdict(name: str, gains: dict[str, np.ndarray], layers: _CompositeLayers) -> JudgeResult[SceneSpec]:
    """Explain the picture by one large object or by up to three small ones, whichever explains more."""
    energy = float(np.square(halve(layers.delta[None])).sum())
    explanations = [_fit_objects(size, gains[size], layers) for size in SIZES_PX]
    found = max(explanations, key=_total)
    unexplained = (energy - _total(found)) / max(energy, _VISIBLE_ENERGY)
    return JudgeResult(SceneSpec(tuple(one.spec for one in found), name), unexplained)


def _total(found: Iterable[_FittedObject]) -> float:
    return sum(one.gain for one in found)


def _fit_objects(size: str, gains: np.ndarray, layers: _CompositeLayers) -> list[_FittedObject]:
    """The objects that explain most, one after the other, in windows that keep clear of one another."""
    found: list[_FittedObject] = []
    corners = _corners(size)
    while len(found) < _MAX_OBJECTS[size]:
        window = gains.max(1).argmax()
        if not gains[window].max() > 0:
            break
        sprites = template_bank(size).select(
            np.argpartition(gains[window], -_TOP_CANDIDATES)[-_TOP_CANDIDATES:]
        )
        least_share = _FURTHER_SHARE if found else _FIRST_SHARE
        seen = _refine(sprites, size, corners[window], layers, least_share)
        if seen is not None:
            found.append(seen)
        is_near = (np.abs(corners - corners[window]) < SIZES_PX[size] - _TOUCH_PX).all(1)
        gains[is_near] = -np.inf
    return found


def _refine(
    sprites: TemplateBank, size: str, corner: np.ndarray, layers: _CompositeLayers, least_share: float
) -> _FittedObject | None:
    """Match ``sprites`` in all windows around ``corner``; None where nothing is clear enough."""
    side = SIZES_PX[size]
    limit = len(layers.delta) - side
    corners = np.clip([corner + np.array(aside) for aside in product(_NEARBY_PX, repeat=2)], 0, limit)
    change, change_behind, behind = (
        halve(np.stack([layer[top : top + side, left : left + side] for top, left in corners]))
        for layer in (layers.delta, layers.occluded_delta, layers.occluded)
    )
    weight = np.ones(behind.shape[:-1], np.float32)
    norms = sprites.norms(weight, behind, np.square(behind).sum(-1))
    gains = sprites.gains(change, change_behind, norms)
    gains[gains < least_share * norms] = -np.inf
    window, row = np.unravel_index(gains.argmax(), gains.shape)
    if not gains[window, row] > 0:
        return None
    name, tint = sprites.names[row]
    return _FittedObject(
        ObjectSpec(name, tint, _nearest_place(corners[window], side), size), float(gains[window, row])
    )


def _nearest_place(corner: np.ndarray, side: int) -> str:
    row, column = np.clip(np.rint(2 * (corner - _MARGIN_PX) / (SIDE_PX - side)), 0, 2).astype(int)
    return PLACES[3 * row + column]


def _coarse_gains(size: str, change: np.ndarray, change_behind: np.ndarray, names: list[str]) -> np.ndarray:
    """What each sprite explains at each coarse window of each picture: float32 (B, windows, N)."""
    sprites = template_bank(size, _COARSE_HALVINGS)
    norms = np.concatenate([_coarse_norms(size, name) for name in names])
    windows = _windows(change, sprites.side), _windows(change_behind, sprites.side)
    gains = sprites.gains(*windows, norms)
    gains[gains < _FIRST_SHARE * norms] = -np.inf
    return gains.reshape(len(change), -1, len(sprites.names))


@cache
def _coarse_norms(size: str, name: str) -> np.ndarray:
    """The energy of each sprite at each window over one background, float32 (windows, N)."""
    sprites = template_bank(size, _COARSE_HALVINGS)
    behind = _windows(_background_with_margin(name)[None], sprites.side)
    weight = np.ones(behind.shape[:-1], np.float32)
    return sprites.norms(weight, behind, np.square(behind).sum(-1))


def _windows(pictures: np.ndarray, side: int) -> np.ndarray:
    """All coarse windows of (B, H, W, channels), row by row: (B * windows, side, side, channels)."""
    halved = halve(pictures, _COARSE_HALVINGS)
    views = np.lib.stride_tricks.sliding_window_view(halved, (side, side), axis=(1, 2))
    return np.moveaxis(views, 3, -1).reshape(-1, side, side, pictures.shape[-1])


@cache
def _corners(size: str) -> np.ndarray:
    """Top left corner of each coarse window in pixels of the picture with its margin, int (windows, 2)."""
    steps = np.arange(0, SIDE_PX + 2 * _MARGIN_PX - SIZES_PX[size] + 1, _COARSE_STEP_PX)
    return np.stack(np.meshgrid(steps, steps, indexing="ij"), -1).reshape(-1, 2)


def _with_margin(pictures: np.ndarray) -> np.ndarray:
    return np.pad(pictures, [(0, 0), (_MARGIN_PX, _MARGIN_PX), (_MARGIN_PX, _MARGIN_PX), (0, 0)])


@cache
def _background_with_margin(name: str) -> np.ndarray:
    return np.pad(background(name), [(_MARGIN_PX, _MARGIN_PX), (_MARGIN_PX, _MARGIN_PX), (0, 0)], mode="edge")
