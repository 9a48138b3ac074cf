"""Record the notes of the small world: General MIDI through FluidSynth and FluidR3, words through eSpeak NG.

Needs the Debian packages ``fluidsynth``, ``fluid-soundfont-gm`` and ``espeak-ng`` once; the recording ships with the
package. Run from the repository: ``python scripts/make_miniworld_notes.py``.
"""

from __future__ import annotations

import struct
import subprocess
import tempfile
from functools import cache
from pathlib import Path

import numpy as np
import soundfile
import soxr

from nextgpt.miniworld import note_samples as notes
from nextgpt.miniworld.specs import INSTRUMENT_SOURCES, PITCHES, SOURCES, WORD_SOURCES

SOUNDFONT = "/usr/share/sounds/sf2/FluidR3_GM.sf2"
TARGET = Path(notes.__file__).parent / "assets" / "notes.ogg"
PROGRAMS = {
    "piano": 0, "guitar": 24, "violin": 40, "cello": 42, "trumpet": 56, "saxophone": 65, "flute": 73, "clarinet": 71,
    "organ": 19, "harp": 46, "xylophone": 13, "accordion": 21, "banjo": 105, "bell": 14, "drum": 117,
    "harmonica": 22, "bagpipe": 109, "music box": 10, "sitar": 104, "choir": 52,
    "bird": 123, "telephone": 124, "helicopter": 125, "applause": 126, "seashore": 122, "gunshot": 127,
}  # fmt: skip
"""Programs of General MIDI, counted from 0."""
RECORDING_RATE_HZ = 44100
UNTUNED_OCTAVE = 20
"""Semitones that double the playing speed of an effect or a word: at 12 the highest would be out of hearing."""
LOUDNESS = 0.09
"""Root mean square of the loudest fifth of a second, where 1 is full scale."""
PEAK = 0.55
FADE_SAMPLES = 800
RISE_SAMPLES = 80
SWELL, WORD_SWELL = 0.5, 0.06
"""Share of its greatest loudness at which a note begins; a word may not lose its first consonant."""


def main() -> None:
    """Record all notes and write them as one file of equal slots."""
    slots = []
    for source in SOURCES:
        for pitch in PITCHES:
            for interval in notes.INTERVALS:
                recording = record(source, notes.ROOT_MIDI_NOTES[pitch] + interval)
                swell = WORD_SWELL if source in WORD_SOURCES else SWELL
                slots.append(finish(recording[begin(recording, swell) :]))
        print(source)
    # The encoder of libsndfile loses its way in one long write; blocks of a slot are safe.
    with soundfile.SoundFile(
        TARGET, "w", notes.SAMPLE_RATE_HZ, 1, format="OGG", subtype="VORBIS", compression_level=0.5
    ) as file:
        for slot in slots:
            file.write(slot)


def record(source: str, key: int) -> np.ndarray:
    """One note of ``source`` at 16 kHz: instruments are played at ``key``, whatever has no pitch is played faster."""
    if source in INSTRUMENT_SOURCES:
        samples, rate_hz = play(PROGRAMS[source], key)
        return soxr.resample(samples, rate_hz, notes.SAMPLE_RATE_HZ)
    middle = notes.ROOT_MIDI_NOTES["middle"]
    is_word = source in WORD_SOURCES
    samples, rate_hz = speak(source.removeprefix("the word ")) if is_word else play(PROGRAMS[source], middle)
    factor = 2 ** ((key - middle) / UNTUNED_OCTAVE)
    return soxr.resample(samples, rate_hz * factor, notes.SAMPLE_RATE_HZ)


@cache
def play(program: int, key: int) -> tuple[np.ndarray, int]:
    """One note of a General MIDI program through FluidSynth, without reverb and chorus; samples and their rate."""
    with tempfile.TemporaryDirectory() as folder:
        midi, wav = Path(folder, "note.mid"), Path(folder, "note.wav")
        midi.write_bytes(midi_file(program, key))
        subprocess.run(
            ["fluidsynth", "-ni", "-q", "-R", "0", "-C", "0", "-g", "0.8", "-r", str(RECORDING_RATE_HZ),
             "-F", str(wav), SOUNDFONT, str(midi)],
            check=True, capture_output=True,
        )  # fmt: skip
        samples, rate_hz = soundfile.read(wav, dtype="float32", always_2d=True)
    return samples.mean(1), rate_hz


@cache
def speak(word: str) -> tuple[np.ndarray, int]:
    """``word`` as eSpeak NG says it; samples and their rate."""
    with tempfile.TemporaryDirectory() as folder:
        wav = Path(folder, "word.wav")
        subprocess.run(["espeak-ng", "-v", "en-us", "-s", "190", "-w", str(wav), word], check=True)
        return soundfile.read(wav, dtype="float32")


def midi_file(program: int, key: int) -> bytes:
    """A Standard MIDI File of one note, four seconds long: some effects swell for two."""
    ticks = bytes([0x9E, 0x00])  # 3840 ticks as a variable-length quantity, at 960 a second
    events = bytes([0, 0xC0, program, 0, 0x90, key, 100]) + ticks + bytes([0x80, key, 0, 0, 0xFF, 0x2F, 0])
    return b"MThd" + struct.pack(">IHHH", 6, 0, 1, 480) + b"MTrk" + struct.pack(">I", len(events)) + events


def finish(samples: np.ndarray) -> np.ndarray:
    """Bring to equal loudness, fade the end, and fill the slot."""
    samples = samples[: notes.NOTE_SAMPLES].copy()
    samples[:RISE_SAMPLES] *= np.linspace(0, 1, RISE_SAMPLES)
    block = notes.SAMPLE_RATE_HZ // 5
    energies = [np.mean(samples[i : i + block] ** 2) for i in range(0, max(len(samples) - block, 1), block // 4)]
    samples = samples * (LOUDNESS / np.sqrt(max(energies)))
    samples = PEAK * np.tanh(samples / PEAK)
    fade = min(FADE_SAMPLES, len(samples))
    samples[-fade:] *= np.linspace(1, 0, fade)
    return np.pad(samples, (0, notes.SLOT_SAMPLES - len(samples))).astype(np.float32)


def begin(samples: np.ndarray, swell: float) -> int:
    """The sample at which the envelope first reaches the share ``swell`` of its height.

    From the true beginning, the fast notes of sources that swell slowly would be silent.
    """
    window = notes.SAMPLE_RATE_HZ // 40
    envelope = np.sqrt(np.convolve(samples**2, np.ones(window) / window))
    return max(int((envelope > swell * envelope.max()).argmax()) - window, 0)


if __name__ == "__main__":
    main()
