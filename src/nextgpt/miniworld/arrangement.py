"""When the notes of a sound are played: each pattern and speed is a list of onsets and intervals."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nextgpt.errors import ConfigError, unknown
from nextgpt.miniworld.notes import NOTE_SAMPLES, SAMPLE_RATE_HZ, note
from nextgpt.miniworld.scene import PATTERNS, SPEEDS, Sound

DURATION_SAMPLES = 2 * SAMPLE_RATE_HZ
SPACING_S = {"slow": 0.6, "fast": 0.22}
"""From one note's beginning to the next, in patterns of several."""
LEAD_S = 0.05
_CHORD_GAIN = 0.6
_RELEASE = np.linspace(1, 0, 480, dtype=np.float32)
STEPS = {
    "single": (0,),
    "rising": (0, 1, 2),
    "falling": (2, 1, 0),
    "repeated": (0, 0, 0),
    "chord": (0, 1, 2),
}
"""Which of the three intervals is played when; a chord plays all at once."""


@dataclass(frozen=True)
class Played:
    """One note in time."""

    step: int
    onset: int
    """First sample."""
    length: int
    """Samples until it is damped."""
    gain: float = 1.0


def arrange(pattern: str, speed: str) -> tuple[Played, ...]:
    """The notes of ``pattern``. Raises :class:`~nextgpt.errors.ConfigError` for a pattern or speed there is not."""
    for kind, value, known in (("Pattern", pattern, PATTERNS), ("Speed", speed, SPEEDS)):
        if value not in known:
            raise ConfigError(unknown(kind, value, known))
    lead, steps = round(LEAD_S * SAMPLE_RATE_HZ), STEPS[pattern]
    if pattern == "chord":
        return tuple(Played(step, lead, NOTE_SAMPLES, _CHORD_GAIN) for step in steps)
    if pattern == "single":
        return (Played(0, lead, NOTE_SAMPLES),)
    spacing = round(SPACING_S[speed] * SAMPLE_RATE_HZ)
    return tuple(
        # Damped a little before the next, so that sustained notes stay apart when repeated.
        Played(step, lead + position * spacing, round(0.9 * spacing))
        for position, step in enumerate(steps)
    )


def render_sound(sound: Sound) -> np.ndarray:
    """The samples of ``sound``: float32 (32000,) in [-1, 1] at 16 kHz."""
    samples = np.zeros(DURATION_SAMPLES, np.float32)
    for played in arrange(sound.pattern, sound.speed):
        length = min(played.length, DURATION_SAMPLES - played.onset)
        window = samples[played.onset : played.onset + length]
        window += played.gain * note(sound.source, sound.pitch, played.step)[:length]
        if length < NOTE_SAMPLES:
            # Only this note sounds at its end: patterns that damp their notes never overlap them.
            window[-len(_RELEASE) :] *= _RELEASE
    return samples
