"""Note timing of sounds: each pattern and speed is a list of onsets and intervals."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nextgpt.errors import ConfigError, unknown_name_message
from nextgpt.miniworld.note_samples import NOTE_SAMPLES, SAMPLE_RATE_HZ, note_sample
from nextgpt.miniworld.specs import PATTERNS, SPEEDS, SoundSpec

DURATION_SAMPLES = 2 * SAMPLE_RATE_HZ
SPACING_S = {"slow": 0.6, "fast": 0.22}
"""Seconds between the onsets of consecutive notes."""
LEAD_IN_S = 0.05
_CHORD_GAIN = 0.6
_RELEASE = np.linspace(1, 0, 480, dtype=np.float32)
STEPS = {"single": (0,), "rising": (0, 1, 2), "falling": (2, 1, 0), "repeated": (0, 0, 0), "chord": (0, 1, 2)}
"""Indices into the three intervals, in playing order; a chord plays all at once."""


@dataclass(frozen=True)
class NoteEvent:
    """A note with its timing."""

    step: int
    onset: int
    """Index of the first sample."""
    length: int
    """Number of samples until the note is damped."""
    gain: float = 1.0


def note_events(pattern: str, speed: str) -> tuple[NoteEvent, ...]:
    """Return the notes of a pattern. Raises :class:`~nextgpt.errors.ConfigError` for unknown names."""
    for kind, value, accepted in (("Pattern", pattern, PATTERNS), ("Speed", speed, SPEEDS)):
        if value not in accepted:
            raise ConfigError(unknown_name_message(kind, value, accepted))
    lead_in, steps = round(LEAD_IN_S * SAMPLE_RATE_HZ), STEPS[pattern]
    if pattern == "chord":
        return tuple(NoteEvent(step, lead_in, NOTE_SAMPLES, _CHORD_GAIN) for step in steps)
    if pattern == "single":
        return (NoteEvent(0, lead_in, NOTE_SAMPLES),)
    spacing = round(SPACING_S[speed] * SAMPLE_RATE_HZ)
    return tuple(
        # Damped slightly before the next onset, so that repeated sustained notes stay separate.
        NoteEvent(step, lead_in + position * spacing, round(0.9 * spacing))
        for position, step in enumerate(steps)
    )


def render_sound(sound: SoundSpec) -> np.ndarray:
    """Render ``sound`` to samples, float32 (32000,) in [-1, 1] at 16 kHz."""
    samples = np.zeros(DURATION_SAMPLES, np.float32)
    for event in note_events(sound.pattern, sound.speed):
        length = min(event.length, DURATION_SAMPLES - event.onset)
        window = samples[event.onset : event.onset + length]
        window += event.gain * note_sample(sound.source, sound.pitch, event.step)[:length]
        if length < NOTE_SAMPLES:
            # Damped notes never overlap, so fading the mix fades only this note.
            window[-len(_RELEASE) :] *= _RELEASE
    return samples
