"""Change the sample rate and the number of channels of a sound."""

from __future__ import annotations

import numpy as np
import soxr

from nextgpt.message import Audio


def resample(audio: Audio, sample_rate_hz: int) -> Audio:
    """The sound at another rate, with soxr's high-quality filter; the same object where the rate is right already."""
    if audio.sample_rate_hz == sample_rate_hz:
        return audio
    samples = soxr.resample(audio.samples.T, audio.sample_rate_hz, sample_rate_hz, quality="HQ")
    return Audio(np.ascontiguousarray(samples.T, dtype=np.float32), sample_rate_hz)


def to_mono(audio: Audio) -> Audio:
    """The mean of the channels as one channel; the same object where there is one already."""
    if len(audio.samples) == 1:
        return audio
    return Audio(audio.samples.mean(axis=0, keepdims=True, dtype=np.float32), audio.sample_rate_hz)
