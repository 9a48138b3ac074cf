"""How the object of a clip moves: for each motion the object's place, scale, turn and visibility in every frame."""

from __future__ import annotations

from functools import cache

import numpy as np

from nextgpt.errors import ConfigError, unknown_name_message
from nextgpt.miniworld.backgrounds import SIDE_PX
from nextgpt.miniworld.specs import MOTIONS
from nextgpt.miniworld.sprites import SIZES_PX, Sprite, sprite

FRAMES = 16
FPS = 8.0
SPRITE_PX = SIZES_PX["small"]
TRAVEL_PX = SIDE_PX - SPRITE_PX
_TIME = np.arange(FRAMES) / (FRAMES - 1)


def motion_layers(name: str, tint: str, motion: str) -> tuple[np.ndarray, np.ndarray]:
    """What a moving object adds to a background and leaves of it.

    Returns light, float32 (16, 64, 64, 3), and transparency, float32 (16, 64, 64, 1), as in
    :class:`~nextgpt.miniworld.sprites.Sprite`. Raises :class:`~nextgpt.errors.ConfigError` for an unknown motion.
    """
    if motion not in MOTIONS:
        raise ConfigError(unknown_name_message("Motion", motion, MOTIONS))
    if motion in ("grow", "shrink"):
        return _scaled(sprite(name, tint, "large"), SIDES_PX[motion])
    drawing = sprite(name, tint, "small")
    if motion == "spin":
        return _rotated(drawing)
    if motion in ("appear", "disappear"):
        return _faded(drawing, VISIBILITY[motion])
    return _translated(drawing, TRACKS[motion])


def _track(top: np.ndarray, left: np.ndarray) -> np.ndarray:
    """Top and left corner in whole pixels, int (16, 2)."""
    return np.rint(np.stack(np.broadcast_arrays(top, left), axis=1)).astype(int)


_MIDDLE = np.array(TRAVEL_PX / 2)
TRACKS = {
    "left": _track(_MIDDLE, TRAVEL_PX * (1 - _TIME)),
    "right": _track(_MIDDLE, TRAVEL_PX * _TIME),
    "up": _track(TRAVEL_PX * (1 - _TIME), _MIDDLE),
    "down": _track(TRAVEL_PX * _TIME, _MIDDLE),
    "bounce": _track(TRAVEL_PX * (1 - np.abs(np.sin(2 * np.pi * _TIME))), _MIDDLE),
}
SIDES_PX = {"grow": 14 + 34 * _TIME, "shrink": 48 - 34 * _TIME}
"""Side of the object in each frame."""
VISIBILITY = {"appear": np.clip(1.4 * _TIME - 0.2, 0, 1), "disappear": np.clip(1.2 - 1.4 * _TIME, 0, 1)}
_ANGLES = 2 * np.pi * np.arange(FRAMES) / FRAMES
"""One whole turn, clockwise."""


def _canvas() -> tuple[np.ndarray, np.ndarray]:
    light = np.zeros((FRAMES, SIDE_PX, SIDE_PX, 3), np.float32)
    return light, np.ones((FRAMES, SIDE_PX, SIDE_PX, 1), np.float32)


def _translated(drawing: Sprite, track: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    light, transparency = _canvas()
    for frame, (top, left) in enumerate(track):
        window = (frame, slice(top, top + SPRITE_PX), slice(left, left + SPRITE_PX))
        light[window], transparency[window] = drawing.premultiplied_rgb, drawing.inverse_alpha
    return light, transparency


def _faded(drawing: Sprite, visibility: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    light, transparency = _translated(drawing, np.full((FRAMES, 2), TRAVEL_PX // 2))
    share = visibility.astype(np.float32)[:, None, None, None]
    return light * share, 1 - (1 - transparency) * share


def _scaled(drawing: Sprite, sides_px: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Resize by one matrix for rows and one for columns in each frame; both sides shrink alike."""
    pixels = _pixels(drawing)
    matrices = resize_matrices(len(pixels), tuple(sides_px.tolist()))  # (16, 64, side)
    rows = np.tensordot(matrices, pixels, axes=(2, 0))  # (16, 64, side, 4)
    return _layers(matrices[:, None] @ rows)


def _rotated(drawing: Sprite) -> tuple[np.ndarray, np.ndarray]:
    indices, weights = rotation_weights(len(drawing.premultiplied_rgb))
    corners = _pixels(drawing).reshape(-1, 4)[indices]  # (16, 4 corners, points, 4 channels)
    box = _layers((corners * weights[..., None]).sum(1).reshape(FRAMES, *[ROTATION_BOX_PX] * 2, 4))
    light, transparency = _canvas()
    edge = (SIDE_PX - ROTATION_BOX_PX) // 2
    window = (slice(None), slice(edge, -edge), slice(edge, -edge))
    light[window], transparency[window] = box
    return light, transparency


def _pixels(drawing: Sprite) -> np.ndarray:
    """Light and coverage side by side, float32 (side, side, 4), so that nothing lies outside the sprite."""
    return np.concatenate([drawing.premultiplied_rgb, 1 - drawing.inverse_alpha], axis=2)


def _layers(pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return pixels[..., :3], 1 - pixels[..., 3:]


@cache
def resize_matrices(side: int, sides_px: tuple[float, ...]) -> np.ndarray:
    """Matrices (frames, 64, side) that put ``side`` pixels, resized, into the middle of 64: area-averaging tents."""
    target = np.arange(SIDE_PX) + 0.5 - SIDE_PX / 2
    source = np.arange(-side, 2 * side) + 0.5 - side / 2  # beyond the sprite's edges, where nothing covers
    matrices = []
    for side_px in sides_px:
        scale = side_px / side
        weights = np.clip(1 - np.abs(target[:, None] / scale - source) * min(scale, 1.0), 0, None)
        weights /= np.maximum(weights.sum(1, keepdims=True), 1e-6)
        matrices.append(weights[:, side : 2 * side])
    return np.array(matrices, np.float32)


ROTATION_BOX_PX = 46
"""Even, and not less than the diagonal of a small sprite."""


@cache
def rotation_weights(side: int) -> tuple[np.ndarray, np.ndarray]:
    """For each frame the four source pixels of every target pixel, (16, 4, points), and their bilinear weights."""
    y, x = np.meshgrid(*[np.arange(ROTATION_BOX_PX) + 0.5 - ROTATION_BOX_PX / 2] * 2, indexing="ij")
    indices, weights = [], []
    for angle in _ANGLES:
        source_x = np.cos(angle) * x + np.sin(angle) * y + side / 2 - 0.5
        source_y = -np.sin(angle) * x + np.cos(angle) * y + side / 2 - 0.5
        left, top = np.floor(source_x).astype(int), np.floor(source_y).astype(int)
        frame_indices, frame_weights = [], []
        for column, row in ((left, top), (left + 1, top), (left, top + 1), (left + 1, top + 1)):
            weight = (1 - np.abs(source_x - column)) * (1 - np.abs(source_y - row))
            is_inside = (column >= 0) & (column < side) & (row >= 0) & (row < side)
            frame_indices.append((np.clip(row, 0, side - 1) * side + np.clip(column, 0, side - 1)).ravel())
            frame_weights.append((weight * is_inside).ravel())
        indices.append(frame_indices)
        weights.append(frame_weights)
    return np.array(indices), np.array(weights, np.float32)
