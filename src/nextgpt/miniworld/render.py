"""Render specs to media: equal specs give equal bytes on every machine.

Training uses the array functions directly (thousands of images per second on one core); :func:`render` wraps
their results in media types.
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
from nextgpt.miniworld.sprites import SIZES_PX, STANDARD, Detail, sprite


def render(spec: MediaSpec) -> Medium:
    """Render a spec to its medium."""
    if isinstance(spec, SceneSpec):
        import PIL.Image

        return Image(PIL.Image.fromarray(render_scene(spec)))
    if isinstance(spec, SoundSpec):
        return Audio(render_sound(spec)[None], SAMPLE_RATE_HZ)
    audio = None if spec.sound is None else Audio(render_sound(spec.sound)[None], SAMPLE_RATE_HZ)
    return Video(render_clip(spec), FPS, audio)


def object_box(place: str, size: str) -> tuple[int, int, int]:
    """Return top, left and side in pixels of an object of ``size`` at ``place``."""
    if place not in PLACES:
        raise ConfigError(unknown_name_message("Place", place, PLACES))
    row, column = divmod(PLACES.index(place), 3)
    side = SIZES_PX[size]
    step = (SIDE_PX - side) // 2
    return row * step, column * step, side


def render_scene(scene: SceneSpec, detail: Detail = STANDARD) -> np.ndarray:
    """Render an image, uint8 (64, 64, 3) times the scale of ``detail``."""
    pixels = background(scene.background, detail.scale).copy()
    for obj in scene.objects:
        top, left, side = (length * detail.scale for length in object_box(obj.place, obj.size))
        image_sprite = sprite(obj.object, obj.tint, obj.size, detail)
        window = pixels[top : top + side, left : left + side]
        window *= image_sprite.inverse_alpha
        window += image_sprite.premultiplied_rgb
    return to_bytes(pixels)


def render_clip(clip: ClipSpec, detail: Detail = STANDARD) -> np.ndarray:
    """Render the frames of a video, uint8 (16, 64, 64, 3), height and width times the scale of ``detail``."""
    rgb, inverse_alpha = motion_layers(clip.object, clip.tint, clip.motion, detail)
    return to_bytes(background(clip.background, detail.scale) * inverse_alpha + rgb)


def to_bytes(pixels: np.ndarray) -> np.ndarray:
    """Round float pixels, 0 to 255, to uint8."""
    return np.clip(pixels + 0.5, 0, 255).astype(np.uint8)
