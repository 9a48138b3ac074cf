"""Ranges of audio samples."""

from __future__ import annotations

import numpy as np

MAX_PEAK = 32.0
"""Float samples above this are not in [-1, 1], not even of loud audio: they are integers stored as floats."""
_INTEGER_SCALES = (2.0**15, 2.0**31)


def clean_samples(samples: np.ndarray) -> np.ndarray:
    """Return contiguous float32 in [-1, 1]: floating-point files may hold any value, NaN included.

    Louder samples are clipped, as players do. With a peak above :data:`MAX_PEAK` they are divided by the full scale of
    16-bit integers, or 32-bit ones, whichever holds the peak; by the peak itself if neither does.
    """
    cleaned = np.array(samples, dtype=np.float32, order="C")
    np.nan_to_num(cleaned, copy=False, posinf=1.0, neginf=-1.0)
    peak = max(float(cleaned.max(initial=0.0)), -float(cleaned.min(initial=0.0)))
    if peak > MAX_PEAK:
        cleaned /= next((scale for scale in _INTEGER_SCALES if peak <= scale), peak)
    return cleaned.clip(-1.0, 1.0, out=cleaned)
