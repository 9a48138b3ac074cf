"""Recognize source, pitch, pattern and speed of a sound.

Every sound of the world is rendered once as a blurred log-mel spectrogram; the nearest one is the result.
Only magnitudes count, so phase does not matter. Loudness is normalized first.
"""

from __future__ import annotations

from functools import cache

import numpy as np

from nextgpt.miniworld.judge.result import JudgeResult
from nextgpt.miniworld.note_samples import SAMPLE_RATE_HZ
from nextgpt.miniworld.note_sequence import DURATION_SAMPLES, render_sound
from nextgpt.miniworld.specs import PITCHES, SOURCES, SPEEDS, TIMED_PATTERNS, SoundSpec, patterns_of

_WINDOW, _HOP, _MEL_BINS = 1024, 256, 80
_RANGE_DB = 25.0
"""Dynamic range below the loudest bin; the rest is silence, as generated audio has a noise floor."""
_SILENCE_DB = -30.0
"""Lower bound of the normalization level; the sounds of the world are 50 dB above it."""
_BLUR_FRAMES = (0.25, 0.5, 0.25)
_SHIFTS = (-4, -2, 0, 2, 4)
"""Onset offsets that are tried, in frames."""


def judge_sounds(samples: np.ndarray) -> list[JudgeResult[SoundSpec]]:
    """Recognize samples, float32 (B, 32000) in [-1, 1] at 16 kHz. Other lengths are cut or padded."""
    sounds, spectrograms = _all_sounds()
    energies = np.square(spectrograms).sum(1)
    results = []
    for waveform in samples:
        mel = _log_mel(waveform)
        shifted = np.stack([np.roll(mel, shift, axis=0) for shift in _SHIFTS]).reshape(len(_SHIFTS), -1)
        distances = energies - 2 * shifted @ spectrograms.T + np.square(shifted).sum(1, keepdims=True)
        nearest = int(distances.min(0).argmin())
        residual = float(distances[:, nearest].min()) / max(float(np.square(mel).sum()), 1e-6)
        results.append(JudgeResult(sounds[nearest], min(max(residual, 0.0), 1.0)))
    return results


@cache
def _all_sounds() -> tuple[tuple[SoundSpec, ...], np.ndarray]:
    """Return all sounds of the world and their spectrograms, float32 (sounds, frames * mel bins)."""
    sounds = tuple(
        SoundSpec(source, pitch, pattern, speed)
        for source in SOURCES
        for pitch in PITCHES
        for pattern in patterns_of(source)
        for speed in (SPEEDS if pattern in TIMED_PATTERNS else SPEEDS[:1])
    )
    return sounds, np.stack([_log_mel(render_sound(sound)).ravel() for sound in sounds])


def _log_mel(samples: np.ndarray) -> np.ndarray:
    """Compute the blurred log-mel spectrogram, float32 (frames, mel bins): 0 is silence, 1 the loudest."""
    padded = np.zeros(DURATION_SAMPLES + _WINDOW, np.float32)
    cropped = np.asarray(samples, np.float32).ravel()[:DURATION_SAMPLES]
    padded[_WINDOW // 2 : _WINDOW // 2 + len(cropped)] = cropped
    frames = np.lib.stride_tricks.sliding_window_view(padded, _WINDOW)[::_HOP]
    magnitudes = np.abs(np.fft.rfft(frames * np.hanning(_WINDOW).astype(np.float32), axis=1))
    mel = 20 * np.log10(np.maximum(magnitudes.astype(np.float32) @ _mel_filters(), 1e-5))
    # Not the very loudest bin, which a click would set.
    loudest = max(float(np.percentile(mel, 99.5)), _SILENCE_DB)
    spectrogram = np.clip(1 + (mel - loudest) / _RANGE_DB, 0, 1.1)
    around = np.pad(spectrogram, [(1, 1), (0, 0)], mode="edge")
    return sum(share * around[i : i + len(spectrogram)] for i, share in enumerate(_BLUR_FRAMES))


@cache
def _mel_filters() -> np.ndarray:
    """Return triangular filters on the mel scale (HTK), float32 (frequency bins, mel bins)."""
    top = 2595 * np.log10(1 + SAMPLE_RATE_HZ / 2 / 700)
    edges = 700 * (10 ** (np.linspace(0, top, _MEL_BINS + 2) / 2595) - 1)
    frequencies = np.fft.rfftfreq(_WINDOW, 1 / SAMPLE_RATE_HZ)[:, None]
    rising = (frequencies - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - frequencies) / (edges[2:] - edges[1:-1])
    return np.clip(np.minimum(rising, falling), 0, None).astype(np.float32)
