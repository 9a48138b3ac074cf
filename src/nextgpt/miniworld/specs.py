"""Specifications of the small world's images, audio and video as plain values.

A spec is a complete description: rendering it always gives the same bytes, and every question, answer and
judgement about a medium follows from its spec. This module does not depend on pixels, samples or language.
"""

from __future__ import annotations

from dataclasses import dataclass

TINTS = ("natural", "red", "orange", "yellow", "green", "blue", "purple", "pink")
BACKGROUNDS = ("white", "gray", "blue", "green", "yellow", "pink", "grass", "sea", "night", "sunset")
PLACES = (
    "top left", "top", "top right",
    "left", "center", "right",
    "bottom left", "bottom", "bottom right",
)  # fmt: skip
SIZES = ("small", "large")
PITCHES = ("low", "middle", "high")
PATTERNS = ("single", "rising", "falling", "repeated", "chord")
SPEEDS = ("slow", "fast")
TIMED_PATTERNS = ("rising", "falling", "repeated")
"""Patterns of several notes, in which slow and fast differ; all others are always slow."""
MOTIONS = ("left", "right", "up", "down", "grow", "shrink", "spin", "bounce", "appear", "disappear")

INSTRUMENT_SOURCES = (
    "piano", "guitar", "violin", "cello", "trumpet", "saxophone", "flute", "clarinet", "organ", "harp",
    "xylophone", "accordion", "banjo", "bell", "drum", "harmonica", "bagpipe", "music box", "sitar", "choir",
)  # fmt: skip
EFFECT_SOURCES = ("bird", "telephone", "helicopter", "applause", "seashore", "gunshot")
WORD_SOURCES = ("the word hello", "the word yes", "the word no", "the word music", "the word goodbye")
SOURCES = INSTRUMENT_SOURCES + EFFECT_SOURCES + WORD_SOURCES


@dataclass(frozen=True)
class ObjectSpec:
    """An object in an image."""

    object: str
    tint: str = "natural"
    place: str = "center"
    size: str = "large"
    """``small`` is 32 pixels, ``large`` 48 of the image's 64."""


@dataclass(frozen=True)
class SceneSpec:
    """An image: one to three objects on a background. Several objects are small and never overlap."""

    objects: tuple[ObjectSpec, ...]
    background: str = "white"


@dataclass(frozen=True)
class SoundSpec:
    """Two seconds of one source at 16 kHz."""

    source: str
    pitch: str = "middle"
    pattern: str = "single"
    speed: str = "slow"


@dataclass(frozen=True)
class ClipSpec:
    """A video: 16 frames at 8 frames per second in which one small object moves, optionally with audio."""

    object: str
    tint: str = "natural"
    background: str = "white"
    motion: str = "right"
    sound: SoundSpec | None = None


MediaSpec = SceneSpec | SoundSpec | ClipSpec


def patterns_of(source: str) -> tuple[str, ...]:
    """Return the patterns that ``source`` can play; only instruments can play a chord."""
    return PATTERNS if source in INSTRUMENT_SOURCES else tuple(p for p in PATTERNS if p != "chord")
