"""From a content to its medium: the same content gives the same bytes, on every machine.

The array functions are what trainings use (thousands of pictures a second on one core); :func:`render` wraps their
results in the types that travel.
"""

from __future__ import annotations

import numpy as np

from nextgpt.errors import ConfigError, unknown_name_message
from nextgpt.message import Audio, Image, Medium, Video
from nextgpt.miniworld.backgrounds import SIDE_PX, background
from nextgpt.miniworld.motions import FPS, motion_layers
from nextgpt.miniworld.note_samples import SAMPLE_RATE_HZ
from nextgpt.miniworld.note_sequence import render_sound
from nextgpt.miniworld.specs import PLACES, ClipSpec, MediaSpec, SceneSpec, SoundSpec
from nextgpt.miniworld.sprites import SIZES_PX, sprite


def render(content: MediaSpec) -> Medium:
    """The medium that shows or plays ``content``."""
    if isinstance(content, SceneSpec):
        import PIL.Image

        return Image(PIL.Image.fromarray(render_scene(content)))
    if isinstance(content, SoundSpec):
        return Audio(render_sound(content)[None], SAMPLE_RATE_HZ)
    audio = None if content.sound is None else Audio(render_sound(content.sound)[None], SAMPLE_RATE_HZ)
    return Video(render_clip(content), FPS, audio)


def object_box(place: str, size: str) -> tuple[int, int, int]:
    """Top, left and side in pixels of where an object of ``size`` stands when it is at ``place``."""
    if place not in PLACES:
        raise ConfigError(unknown_name_message("Place", place, PLACES))
    row, column = divmod(PLACES.index(place), 3)
    side = SIZES_PX[size]
    step = (SIDE_PX - side) // 2
    return row * step, column * step, side


def render_scene(scene: SceneSpec) -> np.ndarray:
    """The picture of ``scene``, uint8 (64, 64, 3)."""
    picture = background(scene.background).copy()
    for placed in scene.objects:
        top, left, side = object_box(placed.place, placed.size)
        drawing = sprite(placed.object, placed.tint, placed.size)
        window = picture[top : top + side, left : left + side]
        window *= drawing.inverse_alpha
        window += drawing.premultiplied_rgb
    return to_bytes(picture)


def render_clip(clip: ClipSpec) -> np.ndarray:
    """The frames of ``clip``, uint8 (16, 64, 64, 3)."""
    light, transparency = motion_layers(clip.object, clip.tint, clip.motion)
    return to_bytes(background(clip.background) * transparency + light)


def to_bytes(pixels: np.ndarray) -> np.ndarray:
    """Round float pixels, 0 to 255, to uint8."""
    return np.clip(pixels + 0.5, 0, 255).astype(np.uint8)
