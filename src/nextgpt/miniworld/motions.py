"""Motions of a clip's object: position, scale, rotation and visibility in every frame."""

from __future__ import annotations

from functools import cache

import numpy as np

from nextgpt.errors import ConfigError, unknown_name_message
from nextgpt.miniworld.backgrounds import SIDE_PX
from nextgpt.miniworld.specs import MOTIONS
from nextgpt.miniworld.sprites import SIZES_PX, STANDARD, Detail, Sprite, sprite

FRAMES = 16
FPS = 8.0
SPRITE_PX = SIZES_PX["small"]
TRAVEL_PX = SIDE_PX - SPRITE_PX
_TIME = np.arange(FRAMES) / (FRAMES - 1)


def motion_layers(name: str, tint: str, motion: str, detail: Detail = STANDARD) -> tuple[np.ndarray, np.ndarray]:
    """Return the layers that a moving object composites over a background.

    The layers are premultiplied RGB, float32 (16, 64, 64, 3), and inverse alpha, float32 (16, 64, 64, 1), as
    in :class:`~nextgpt.miniworld.sprites.Sprite`; height and width times the scale of ``detail``. Raises
    :class:`~nextgpt.errors.ConfigError` for an unknown motion.
    """
    if motion not in MOTIONS:
        raise ConfigError(unknown_name_message("Motion", motion, MOTIONS))
    if motion in ("grow", "shrink"):
        return _scaled(sprite(name, tint, "large", detail), SIDES_PX[motion] * detail.scale, SIDE_PX * detail.scale)
    image = sprite(name, tint, "small", detail)
    if motion == "spin":
        return _rotated(image, detail.scale)
    if motion in ("appear", "disappear"):
        return _faded(image, VISIBILITY[motion], detail.scale)
    return _translated(image, TRACKS[motion], detail.scale)


def _track(top: np.ndarray, left: np.ndarray) -> np.ndarray:
    """Round top and left corners to whole pixels, int (16, 2)."""
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
"""Side length of the object in each frame."""
VISIBILITY = {"appear": np.clip(1.4 * _TIME - 0.2, 0, 1), "disappear": np.clip(1.2 - 1.4 * _TIME, 0, 1)}
_ANGLES = 2 * np.pi * np.arange(FRAMES) / FRAMES
"""One full clockwise rotation."""


def _canvas(scale: int) -> tuple[np.ndarray, np.ndarray]:
    shape = (FRAMES, SIDE_PX * scale, SIDE_PX * scale)
    return np.zeros((*shape, 3), np.float32), np.ones((*shape, 1), np.float32)


def _translated(image: Sprite, track: np.ndarray, scale: int) -> tuple[np.ndarray, np.ndarray]:
    rgb, inverse_alpha = _canvas(scale)
    side = SPRITE_PX * scale
    for frame, (top, left) in enumerate(track * scale):
        window = (frame, slice(top, top + side), slice(left, left + side))
        rgb[window], inverse_alpha[window] = image.premultiplied_rgb, image.inverse_alpha
    return rgb, inverse_alpha


def _faded(image: Sprite, visibility: np.ndarray, scale: int) -> tuple[np.ndarray, np.ndarray]:
    rgb, inverse_alpha = _translated(image, np.full((FRAMES, 2), TRAVEL_PX // 2), scale)
    share = visibility.astype(np.float32)[:, None, None, None]
    return rgb * share, 1 - (1 - inverse_alpha) * share


def _scaled(image: Sprite, sides_px: np.ndarray, canvas_px: int) -> tuple[np.ndarray, np.ndarray]:
    """Resize every frame by one matrix for rows and one for columns."""
    pixels = _pixels(image)
    matrices = resize_matrices(len(pixels), tuple(sides_px.tolist()), canvas_px)  # (16, canvas, side)
    rows = np.tensordot(matrices, pixels, axes=(2, 0))  # (16, 64, side, 4)
    return _layers(matrices[:, None] @ rows)


def _rotated(image: Sprite, scale: int) -> tuple[np.ndarray, np.ndarray]:
    box_px = ROTATION_BOX_PX * scale
    indices, weights = rotation_weights(len(image.premultiplied_rgb), box_px)
    corners = _pixels(image).reshape(-1, 4)[indices]  # (16, 4 corners, points, 4 channels)
    box = _layers((corners * weights[..., None]).sum(1).reshape(FRAMES, box_px, box_px, 4))
    rgb, inverse_alpha = _canvas(scale)
    edge = (SIDE_PX * scale - box_px) // 2
    window = (slice(None), slice(edge, -edge), slice(edge, -edge))
    rgb[window], inverse_alpha[window] = box
    return rgb, inverse_alpha


def _pixels(image: Sprite) -> np.ndarray:
    """Concatenate RGB and alpha, float32 (side, side, 4), so that zero means outside the sprite."""
    return np.concatenate([image.premultiplied_rgb, 1 - image.inverse_alpha], axis=2)


def _layers(pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return pixels[..., :3], 1 - pixels[..., 3:]


@cache
def resize_matrices(side: int, sides_px: tuple[float, ...], canvas_px: int = SIDE_PX) -> np.ndarray:
    """Return matrices (frames, canvas_px, side) that resize ``side`` pixels into the center of the canvas.

    The weights are area-averaging tents.
    """
    target = np.arange(canvas_px) + 0.5 - canvas_px / 2
    source = np.arange(-side, 2 * side) + 0.5 - side / 2  # includes transparent pixels beyond the edges
    matrices = []
    for side_px in sides_px:
        scale = side_px / side
        weights = np.clip(1 - np.abs(target[:, None] / scale - source) * min(scale, 1.0), 0, None)
        weights /= np.maximum(weights.sum(1, keepdims=True), 1e-6)
        matrices.append(weights[:, side : 2 * side])
    return np.array(matrices, np.float32)


ROTATION_BOX_PX = 46
"""Side of the square that contains a rotated small sprite: even, at least the sprite's diagonal."""


@cache
def rotation_weights(side: int, box_px: int = ROTATION_BOX_PX) -> tuple[np.ndarray, np.ndarray]:
    """Return four source pixels per target pixel and frame, (16, 4, points), and bilinear weights."""
    y, x = np.meshgrid(*[np.arange(box_px) + 0.5 - box_px / 2] * 2, indexing="ij")
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
