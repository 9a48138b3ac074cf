"""Attributes of the small world's media as continuous values: hue, place and pitch, set and measured.

Captions of the small world name a few values of each; media can have any.
"""

from __future__ import annotations

import colorsys
from dataclasses import replace

import numpy as np
import PIL.Image
import soxr

from nextgpt.media.types import Audio, Image
from nextgpt.miniworld.render import render
from nextgpt.miniworld.specs import SceneSpec, SoundSpec
from nextgpt.miniworld.sprites import TINT_COLORS

MIN_CHROMA = 40
"""Difference of the largest and smallest color value, of 255, from which a pixel has a hue."""
MIN_CONTRAST = 60
"""Summed difference from the background, of 765, from which a pixel belongs to an object."""
MIN_PIXELS = 20
LOWEST_HZ, HIGHEST_HZ = 50.0, 1500.0
PEAK_SHARE = 0.85
"""Height of a period's autocorrelation, relative to the highest, from which it is taken: avoids octaves below."""


def tint_hue(tint: str) -> float:
    """Return the hue of a named tint in degrees."""
    red, green, blue = (value / 255 for value in TINT_COLORS[tint])
    return 360 * colorsys.rgb_to_hsv(red, green, blue)[0]


def hue_difference(first: float, second: float) -> float:
    """Return the absolute angle between two hues, 0 to 180 degrees."""
    return abs((first - second + 180) % 360 - 180)


def render_rotated(scene: SceneSpec, degrees: float) -> Image:
    """Render an image with all hues rotated; grays keep their color."""
    pixels = np.asarray(render(scene).image.convert("HSV")).copy()  # type: ignore[union-attr]
    pixels[..., 0] = (pixels[..., 0].astype(np.int64) + round(degrees * 256 / 360)) % 256
    return Image(PIL.Image.fromarray(pixels, "HSV").convert("RGB"))


def render_moved(scene: SceneSpec, rows_px: int, columns_px: int) -> Image:
    """Render an image on an even background with its object moved; it must not leave the image."""
    return Image(np.roll(np.asarray(render(scene).image), (rows_px, columns_px), axis=(0, 1)))  # type: ignore[union-attr]


def render_transposed(sound: SoundSpec, semitones: float) -> Audio:
    """Render audio at another pitch by playing it faster or slower, with the length of the original."""
    audio = render(replace(sound))
    assert isinstance(audio, Audio)
    samples = audio.samples[0]
    moved = soxr.resample(samples, audio.sample_rate_hz * 2 ** (semitones / 12), audio.sample_rate_hz)[: len(samples)]
    return Audio(np.pad(moved, (0, len(samples) - len(moved)))[None].astype(np.float32), audio.sample_rate_hz)


def measure_hue(image: Image) -> float | None:
    """Return the mean hue in degrees, weighted by chroma; None if the image is gray."""
    pixels = np.asarray(image.image, np.float64)
    chroma = pixels.max(2) - pixels.min(2)
    weights = np.where(chroma >= MIN_CHROMA, chroma, 0)
    if np.count_nonzero(weights) < MIN_PIXELS:
        return None
    hues = np.asarray(image.image.convert("HSV"), np.float64)[..., 0] * 2 * np.pi / 256
    return float(np.degrees(np.angle((weights * np.exp(1j * hues)).sum())) % 360)


def measure_place(image: Image) -> tuple[float, float] | None:
    """Return the row and column of the middle of what differs from the border's color, in pixels of a 64-pixel image.

    None if nothing differs.
    """
    pixels = np.asarray(image.image.resize((64, 64)), np.float64)
    border = np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]])
    rows, columns = np.nonzero(np.abs(pixels - np.median(border, axis=0)).sum(2) >= MIN_CONTRAST)
    return (float(rows.mean()), float(columns.mean())) if len(rows) >= MIN_PIXELS else None


def measure_pitch(audio: Audio) -> float | None:
    """Return the pitch of the loudest half second in semitones above 440 Hz, by autocorrelation; None for silence."""
    samples = audio.samples.mean(0).astype(np.float64)
    width = audio.sample_rate_hz // 2
    if len(samples) < width or not np.any(samples):
        return None
    energies = np.convolve(samples**2, np.ones(width), mode="valid")
    window = samples[(start := int(energies.argmax())) : start + width] * np.hanning(width)
    spectrum = np.fft.rfft(window, 2 * width)
    correlation = np.fft.irfft(np.abs(spectrum) ** 2)[:width]
    correlation /= np.maximum(np.fft.irfft(np.abs(np.fft.rfft(np.hanning(width), 2 * width)) ** 2)[:width], 1e-9)
    shortest, longest = int(audio.sample_rate_hz / HIGHEST_HZ), int(audio.sample_rate_hz / LOWEST_HZ)
    lags = np.arange(shortest, longest)
    values = correlation[lags]
    is_peak = (values >= correlation[lags - 1]) & (values >= correlation[lags + 1])
    candidates = lags[is_peak & (values >= PEAK_SHARE * values.max())]
    if values.max() <= 0 or not len(candidates):
        return None
    period = _refined_peak(correlation, int(candidates[0]))
    return float(12 * np.log2(audio.sample_rate_hz / period / 440))


def _refined_peak(values: np.ndarray, index: int) -> float:
    """Return the position of a peak between samples, by a parabola through its neighbours."""
    before, peak, after = values[index - 1 : index + 2]
    curvature = before - 2 * peak + after
    return index + (0.5 * (before - after) / curvature if curvature < 0 else 0.0)
