"""When the notes of a sound are played: each pattern and speed is a list of onsets and intervals."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nextgpt.errors import ConfigError, unknown_name_message
from nextgpt.miniworld.note_samples import NOTE_SAMPLES, SAMPLE_RATE_HZ, note_sample
from nextgpt.miniworld.specs import PATTERNS, SPEEDS, SoundSpec

DURATION_SAMPLES = 2 * SAMPLE_RATE_HZ
SPACING_S = {"slow": 0.6, "fast": 0.22}
"""From one note's beginning to the next, in patterns of several."""
LEAD_IN_S = 0.05
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
class NoteEvent:
    """One note in time."""

    step: int
    onset: int
    """First sample."""
    length: int
    """Samples until it is damped."""
    gain: float = 1.0


def note_events(pattern: str, speed: str) -> tuple[NoteEvent, ...]:
    """The notes of ``pattern``. Raises :class:`~nextgpt.errors.ConfigError` for a pattern or speed there is not."""
    for kind, value, known in (("Pattern", pattern, PATTERNS), ("Speed", speed, SPEEDS)):
        if value not in known:
            raise ConfigError(unknown_name_message(kind, value, known))
    lead, steps = round(LEAD_IN_S * SAMPLE_RATE_HZ), STEPS[pattern]
    if pattern == "chord":
        return tuple(NoteEvent(step, lead, NOTE_SAMPLES, _CHORD_GAIN) for step in steps)
    if pattern == "single":
        return (NoteEvent(0, lead, NOTE_SAMPLES),)
    spacing = round(SPACING_S[speed] * SAMPLE_RATE_HZ)
    return tuple(
        # Damped a little before the next, so that sustained notes stay apart when repeated.
        NoteEvent(step, lead + position * spacing, round(0.9 * spacing))
        for position, step in enumerate(steps)
    )


def render_sound(sound: SoundSpec) -> np.ndarray:
    """The samples of ``sound``: float32 (32000,) in [-1, 1] at 16 kHz."""
    samples = np.zeros(DURATION_SAMPLES, np.float32)
    for played in note_events(sound.pattern, sound.speed):
        length = min(played.length, DURATION_SAMPLES - played.onset)
        window = samples[played.onset : played.onset + length]
        window += played.gain * note_sample(sound.source, sound.pitch, played.step)[:length]
        if length < NOTE_SAMPLES:
            # Only this note sounds at its end: patterns that damp their notes never overlap them.
            window[-len(_RELEASE) :] *= _RELEASE
    return samples
