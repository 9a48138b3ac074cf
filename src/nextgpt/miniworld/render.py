"""From a content to its medium: the same content gives the same bytes, on every machine.

The array functions are what trainings use (thousands of pictures a second on one core); :func:`render` wraps their
results in the types that travel.
"""

from __future__ import annotations

import numpy as np

from nextgpt.errors import ConfigError, unknown
from nextgpt.message import Audio, Image, Medium, Video
from nextgpt.miniworld.arrangement import render_sound
from nextgpt.miniworld.backgrounds import SIDE_PX, background
from nextgpt.miniworld.motions import FPS, layers
from nextgpt.miniworld.notes import SAMPLE_RATE_HZ
from nextgpt.miniworld.scene import PLACES, Clip, Content, Scene, Sound
from nextgpt.miniworld.sprites import SIZES_PX, sprite


def render(content: Content) -> Medium:
    """The medium that shows or plays ``content``."""
    if isinstance(content, Scene):
        import PIL.Image

        return Image(PIL.Image.fromarray(render_scene(content)))
    if isinstance(content, Sound):
        return Audio(render_sound(content)[None], SAMPLE_RATE_HZ)
    audio = None if content.sound is None else Audio(render_sound(content.sound)[None], SAMPLE_RATE_HZ)
    return Video(render_clip(content), FPS, audio)


def box_of(place: str, size: str) -> tuple[int, int, int]:
    """Top, left and side in pixels of where an object of ``size`` stands when it is at ``place``."""
    if place not in PLACES:
        raise ConfigError(unknown("Place", place, PLACES))
    row, column = divmod(PLACES.index(place), 3)
    side = SIZES_PX[size]
    step = (SIDE_PX - side) // 2
    return row * step, column * step, side


def render_scene(scene: Scene) -> np.ndarray:
    """The picture of ``scene``, uint8 (64, 64, 3)."""
    picture = background(scene.background).copy()
    for placed in scene.objects:
        top, left, side = box_of(placed.place, placed.size)
        drawing = sprite(placed.object, placed.tint, placed.size)
        window = picture[top : top + side, left : left + side]
        window *= drawing.transparency
        window += drawing.light
    return to_bytes(picture)


def render_clip(clip: Clip) -> np.ndarray:
    """The frames of ``clip``, uint8 (16, 64, 64, 3)."""
    light, transparency = layers(clip.object, clip.tint, clip.motion)
    return to_bytes(background(clip.background) * transparency + light)


def to_bytes(pixels: np.ndarray) -> np.ndarray:
    """Round float pixels, 0 to 255, to uint8."""
    return np.clip(pixels + 0.5, 0, 255).astype(np.uint8)
