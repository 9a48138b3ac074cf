"""What a sound plays: its source, pitch, pattern and speed.

Every sound of the world is rendered once and kept as a blurred log-mel picture; the nearest one is what is heard. Only
magnitudes count, so that phase does not matter, and loudness is brought to one level first.
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
"""What lies further below the loudest counts as silence: generated sound has a floor of noise and soft edges."""
_SILENCE_DB = -30.0
"""Whatever has nothing louder is not brought to the common level; the sounds of the world lie 50 dB above."""
_BLUR_FRAMES = (0.25, 0.5, 0.25)
_SHIFTS = (-4, -2, 0, 2, 4)
"""Frames by which a sound may begin early or late."""


def judge_sounds(samples: np.ndarray) -> list[JudgeResult[SoundSpec]]:
    """Say what is heard in samples, float32 (B, 32000) in [-1, 1] at 16 kHz. Other lengths are cut or filled."""
    sounds, pictures = _all_sounds()
    energies = np.square(pictures).sum(1)
    verdicts = []
    for one in samples:
        heard = _log_mel(one)
        shifted = np.stack([np.roll(heard, shift, axis=0) for shift in _SHIFTS]).reshape(len(_SHIFTS), -1)
        distances = energies - 2 * shifted @ pictures.T + np.square(shifted).sum(1, keepdims=True)
        nearest = int(distances.min(0).argmin())
        unexplained = float(distances[:, nearest].min()) / max(float(np.square(heard).sum()), 1e-6)
        verdicts.append(JudgeResult(sounds[nearest], min(max(unexplained, 0.0), 1.0)))
    return verdicts


@cache
def _all_sounds() -> tuple[tuple[SoundSpec, ...], np.ndarray]:
    """Every sound of the world, and their pictures, float32 (sounds, frames * mel bins)."""
    sounds = tuple(
        SoundSpec(source, pitch, pattern, speed)
        for source in SOURCES
        for pitch in PITCHES
        for pattern in patterns_of(source)
        for speed in (SPEEDS if pattern in TIMED_PATTERNS else SPEEDS[:1])
    )
    return sounds, np.stack([_log_mel(render_sound(sound)).ravel() for sound in sounds])


def _log_mel(samples: np.ndarray) -> np.ndarray:
    """The blurred log-mel picture, float32 (frames, mel bins): 0 is silence, 1 the loudest."""
    fitted = np.zeros(DURATION_SAMPLES + _WINDOW, np.float32)
    kept = np.asarray(samples, np.float32).ravel()[:DURATION_SAMPLES]
    fitted[_WINDOW // 2 : _WINDOW // 2 + len(kept)] = kept
    frames = np.lib.stride_tricks.sliding_window_view(fitted, _WINDOW)[::_HOP]
    magnitudes = np.abs(np.fft.rfft(frames * np.hanning(_WINDOW).astype(np.float32), axis=1))
    mel = 20 * np.log10(np.maximum(magnitudes.astype(np.float32) @ _mel_filters(), 1e-5))
    # Not the very loudest bin, which a click would set.
    loudest = max(float(np.percentile(mel, 99.5)), _SILENCE_DB)
    picture = np.clip(1 + (mel - loudest) / _RANGE_DB, 0, 1.1)
    around = np.pad(picture, [(1, 1), (0, 0)], mode="edge")
    return sum(share * around[i : i + len(picture)] for i, share in enumerate(_BLUR_FRAMES))


@cache
def _mel_filters() -> np.ndarray:
    """Triangles evenly spaced on the mel scale (HTK), float32 (frequency bins, mel bins)."""
    top = 2595 * np.log10(1 + SAMPLE_RATE_HZ / 2 / 700)
    edges = 700 * (10 ** (np.linspace(0, top, _MEL_BINS + 2) / 2595) - 1)
    frequencies = np.fft.rfftfreq(_WINDOW, 1 / SAMPLE_RATE_HZ)[:, None]
    rising = (frequencies - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - frequencies) / (edges[2:] - edges[1:-1])
    return np.clip(np.minimum(rising, falling), 0, None).astype(np.float32)
