"""Contact sheet: each generated medium next to its reference, one group per row.

Images are shown as they are, audio as spectrograms, videos as four frames.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import groupby
from textwrap import wrap
from typing import Any

import numpy as np
import PIL.Image
import PIL.ImageDraw

from nextgpt.evaluate.miniworld.suite import SampleAnswer
from nextgpt.media import to_mono, uniform_indices
from nextgpt.message import Audio, Image, Medium, Video

TILE_PX, GAP_PX, TEXT_PX, HEADING_PX = 128, 6, 40, 22
_CHARACTERS_PER_LINE, _LINES = 42, 3
_CORRECT, _WRONG, _INK = (70, 160, 90), (200, 80, 70), (40, 40, 40)
_FONT_PX = 11


def contact_sheet(samples: Sequence[SampleAnswer]) -> PIL.Image.Image:
    """Draw samples with the reference on the left; a green frame marks correct outputs, a red one wrong ones."""
    groups = [(name, list(group)) for name, group in groupby(samples, key=lambda sample: sample.group)]
    columns = max(len(group) for _, group in groups)
    height = HEADING_PX + TILE_PX + TEXT_PX
    sheet = PIL.Image.new("RGB", (columns * (2 * TILE_PX + 3 * GAP_PX), len(groups) * height), "white")
    for row, (name, group) in enumerate(groups):
        top = row * height
        pen = PIL.ImageDraw.Draw(sheet)
        pen.text((GAP_PX, top + 6), name, fill=_INK, font_size=_FONT_PX + 2)
        for column, sample in enumerate(group):
            _draw(sheet, sample, column * (2 * TILE_PX + 3 * GAP_PX) + GAP_PX, top + HEADING_PX)
    return sheet


def _draw(sheet: PIL.Image.Image, sample: SampleAnswer, left: int, top: int) -> None:
    pen = PIL.ImageDraw.Draw(sheet)
    sheet.paste(thumbnail(sample.reference), (left, top))
    output_left = left + TILE_PX + GAP_PX // 2
    if sample.output is not None:
        sheet.paste(thumbnail(sample.output), (output_left, top))
    frame = (output_left - 1, top - 1, output_left + TILE_PX, top + TILE_PX)
    pen.rectangle(frame, outline=_CORRECT if sample.is_correct else _WRONG, width=2)
    lines = wrap(sample.prompt, _CHARACTERS_PER_LINE)[:_LINES]
    pen.text((left, top + TILE_PX + 2), "\n".join(lines), fill=_INK, font_size=_FONT_PX, spacing=1)


def thumbnail(medium: Medium) -> PIL.Image.Image:
    """Convert a medium to a square image."""
    return PIL.Image.fromarray(THUMBNAILS[medium.modality](medium)).resize(
        (TILE_PX, TILE_PX), PIL.Image.Resampling.BICUBIC
    )


def _image_pixels(image: Image) -> np.ndarray:
    return np.asarray(image.image.convert("RGB"))


def _frame_grid(video: Video) -> np.ndarray:
    """Arrange four frames as a square in reading order."""
    frames = video.frames[uniform_indices(len(video.frames), 4)]
    return np.vstack([np.hstack(frames[:2]), np.hstack(frames[2:])])


def _spectrogram(audio: Audio) -> np.ndarray:
    """Draw loudness over time (to the right) and frequency (upwards, to 4 kHz) with a range of 60 dB."""
    window = max(16, audio.sample_rate_hz // 31)
    samples = np.pad(to_mono(audio).samples[0], (0, window))
    frames = np.lib.stride_tricks.sliding_window_view(samples, window)[:: window // 4]
    magnitudes = np.abs(np.fft.rfft(frames * np.hanning(window)))[:, : window // 4]
    loudness_db = 20 * np.log10(magnitudes / max(magnitudes.max(), 1e-6) + 1e-6)
    levels = (255 * np.clip(1 + loudness_db / 60, 0, 1)).astype(np.uint8)
    return np.repeat(levels.T[::-1, :, None], 3, axis=2)


THUMBNAILS: dict[str, Callable[[Any], np.ndarray]] = {
    "image": _image_pixels,
    "audio": _spectrogram,
    "video": _frame_grid,
}
"""Thumbnail function of each modality."""
