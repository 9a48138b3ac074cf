"""Canonical caption of each spec and its parser; diffusion models are trained on these captions.

Captions are short, because each condition token costs time in every denoising step, and regular, so that
captions written by a language model can be parsed and judged::

    large red cat top left, grass background     cat left, blue dog right, pink background     flute sound,
high, rising, fast     red cat moving left, grass background
"""

from __future__ import annotations

from nextgpt.miniworld.objects import OBJECTS
from nextgpt.miniworld.specs import (
    BACKGROUNDS,
    MOTIONS,
    PATTERNS,
    PITCHES,
    PLACES,
    SIZES,
    SOURCES,
    SPEEDS,
    TIMED_PATTERNS,
    TINTS,
    ClipSpec,
    MediaSpec,
    ObjectSpec,
    SceneSpec,
    SoundSpec,
)

MOTION_WORDS = {
    "left": "moving left",
    "right": "moving right",
    "up": "moving up",
    "down": "moving down",
    "grow": "growing",
    "shrink": "shrinking",
    "spin": "spinning",
    "bounce": "bouncing",
    "appear": "appearing",
    "disappear": "disappearing",
}
_BACKGROUND = " background"
_SOUND = " sound"
_PLACES_LONGEST_FIRST = sorted(PLACES, key=len, reverse=True)


def canonical_caption(spec: MediaSpec) -> str:
    """Return the caption of ``spec``, for example ``"large red cat top left, grass background"``."""
    if isinstance(spec, SceneSpec):
        return ", ".join([*_object_phrases(spec.objects), spec.background + _BACKGROUND])
    if isinstance(spec, ClipSpec):
        phrase = f"{_kind_phrase(spec.object, spec.tint)} {MOTION_WORDS[spec.motion]}"
        return f"{phrase}, {spec.background}{_BACKGROUND}"
    words = [spec.source + _SOUND, spec.pitch, spec.pattern]
    return ", ".join(words + ([spec.speed] if spec.pattern in TIMED_PATTERNS else []))


def parse_caption(caption: str) -> MediaSpec | None:
    """Parse a canonical caption; None if it is invalid. Clips have no audio."""
    parts = caption.strip().split(", ")
    if parts[0].endswith(_SOUND):
        return _parse_sound(parts)
    if len(parts) < 2 or not parts[-1].endswith(_BACKGROUND):
        return None
    background = parts[-1].removesuffix(_BACKGROUND)
    if background not in BACKGROUNDS:
        return None
    phrases = parts[:-1]
    if len(phrases) == 1 and (motion := _motion_of(phrases[0])):
        kind = _parse_kind(phrases[0].removesuffix(MOTION_WORDS[motion]).strip())
        return kind and ClipSpec(*kind, background=background, motion=motion)
    objects = [_parse_object(phrase, is_alone=len(phrases) == 1) for phrase in phrases]
    return SceneSpec(tuple(objects), background) if all(objects) else None


def _object_phrases(objects: tuple[ObjectSpec, ...]) -> list[str]:
    """Return one phrase per object; several objects are always small, so only a single one has a size."""
    is_alone = len(objects) == 1
    return [f"{obj.size + ' ' if is_alone else ''}{_kind_phrase(obj.object, obj.tint)} {obj.place}" for obj in objects]


def _kind_phrase(name: str, tint: str) -> str:
    return name if tint == "natural" else f"{tint} {name}"


def _parse_kind(words: str) -> tuple[str, str] | None:
    if words in OBJECTS:
        return words, "natural"
    tint, _, name = words.partition(" ")
    return (name, tint) if tint in TINTS[1:] and name in OBJECTS else None


def _parse_object(words: str, *, is_alone: bool) -> ObjectSpec | None:
    size = "small"
    if is_alone:
        size, _, words = words.partition(" ")
    place = next((place for place in _PLACES_LONGEST_FIRST if words.endswith(f" {place}")), None)
    kind = place and _parse_kind(words.removesuffix(f" {place}"))
    return ObjectSpec(*kind, place=place, size=size) if kind and place and size in SIZES else None


def _motion_of(words: str) -> str | None:
    return next((motion for motion in MOTIONS if words.endswith(f" {MOTION_WORDS[motion]}")), None)


def _parse_sound(parts: list[str]) -> SoundSpec | None:
    source, pitch, pattern, speed = (*parts, "slow")[:4] if len(parts) in (3, 4) else ("", "", "", "")
    source = source.removesuffix(_SOUND)
    is_known = source in SOURCES and pitch in PITCHES and pattern in PATTERNS and speed in SPEEDS
    return SoundSpec(source, pitch, pattern, speed) if is_known else None
