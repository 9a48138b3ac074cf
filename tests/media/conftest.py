"""Small media that stand for good files."""

from __future__ import annotations

import numpy as np
import PIL.Image
import pytest

from nextgpt.message import Audio, Image, Video


@pytest.fixture
def picture() -> Image:
    """A smooth picture, 40 x 24."""
    ramp = np.indices((24, 40)).sum(axis=0).astype(np.uint8) * 3
    return Image(PIL.Image.fromarray(np.stack([ramp, ramp[::-1], 255 - ramp], axis=-1)))


@pytest.fixture
def sound() -> Audio:
    """One second of 440 Hz, left louder than right, at 16 kHz."""
    tone = np.sin(2 * np.pi * 440 * np.arange(16_000) / 16_000)
    return Audio(np.stack([0.5 * tone, 0.25 * tone]).astype(np.float32), 16_000)


@pytest.fixture
def film(sound: Audio) -> Video:
    """Eight frames of a bright square that moves to the right, one second, with sound."""
    frames = np.full((8, 64, 64, 3), (30, 60, 120), np.uint8)
    for index, frame in enumerate(frames):
        frame[24:40, 4 * index : 4 * index + 16] = (230, 180, 40)
    return Video(frames, 8.0, sound)
