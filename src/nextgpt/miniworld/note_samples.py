"""Recorded notes: every source at every pitch and interval that a pattern needs.

``scripts/make_miniworld_notes.py`` recorded them into one file of equal slots.
"""

from __future__ import annotations

from functools import cache
from importlib import resources

import numpy as np

from nextgpt.errors import ConfigError, unknown_name_message
from nextgpt.miniworld.specs import PITCHES, SOURCES

SAMPLE_RATE_HZ = 16000
ROOT_MIDI_NOTES = {"low": 48, "middle": 60, "high": 72}
"""MIDI notes of the pitches: C3, C4 and C5."""
INTERVALS = (0, 4, 7)
"""Semitones above the root: a major chord."""
NOTE_SAMPLES = 22400
"""Samples per note: 1.4 s."""
SLOT_SAMPLES = 24000
"""Samples per slot: a note and enough silence that compression does not mix neighbours."""


def note_sample(source: str, pitch: str, step: int) -> np.ndarray:
    """Return the note ``INTERVALS[step]`` semitones above ``pitch``: float32 (22400,) in [-1, 1].

    Raises :class:`~nextgpt.errors.ConfigError` for an unknown source or pitch.
    """
    for kind, value, accepted in (("Source", source, SOURCES), ("Pitch", pitch, PITCHES)):
        if value not in accepted:
            raise ConfigError(unknown_name_message(kind, value, accepted))
    return _note_bank()[SOURCES.index(source), PITCHES.index(pitch), step]


@cache
def _note_bank() -> np.ndarray:
    """Load all notes: float32 (sources, pitches, intervals, samples)."""
    import soundfile

    with (resources.files("nextgpt.miniworld") / "assets" / "notes.ogg").open("rb") as file:
        samples, rate_hz = soundfile.read(file, dtype="float32")
    slots = len(SOURCES) * len(PITCHES) * len(INTERVALS)
    assert (rate_hz, len(samples)) == (SAMPLE_RATE_HZ, slots * SLOT_SAMPLES), (
        "assets/notes.ogg does not match SOURCES: run scripts/make_miniworld_notes.py"
    )
    return samples.reshape(len(SOURCES), len(PITCHES), len(INTERVALS), SLOT_SAMPLES)[..., :NOTE_SAMPLES]
