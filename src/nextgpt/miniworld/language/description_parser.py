"""Parse the descriptions of :mod:`.descriptions` back to specs.

The cascade needs it: nano's LLM was pretrained on canonical captions, while nano describes media in sentences.
"""

from __future__ import annotations

import re
from functools import cache
from itertools import product

from nextgpt.miniworld.language.captions import are_identical
from nextgpt.miniworld.language.descriptions import counted, describe, object_phrase
from nextgpt.miniworld.language.lexicon import MOTION_FORMS, PLACE_FORMS, background_forms, indefinite
from nextgpt.miniworld.objects import OBJECTS
from nextgpt.miniworld.specs import (
    BACKGROUNDS,
    MOTIONS,
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
    patterns_of,
)

_SEPARATOR = re.compile(r", | and ")
_INTRO = re.compile(r"(I (see|hear)|Here (is|are)) ")
Kind = tuple[str, str]
"""Object and tint."""


def parse_description(text: str) -> MediaSpec | None:
    """Return the spec of a description such as ``"I see a large red cat at the top left on grass."``, else None."""
    words = _INTRO.sub("", text.strip().removesuffix("."), count=1)
    return _sounds().get(words) or _parse_visual(words)


@cache
def _sounds() -> dict[str, SoundSpec]:
    specs = (
        SoundSpec(source, pitch, pattern, speed)
        for source, pitch in product(SOURCES, PITCHES)
        for pattern in patterns_of(source)
        for speed in (SPEEDS if pattern in TIMED_PATTERNS else SPEEDS[:1])
    )
    return {describe(spec): spec for spec in specs}


def _parse_visual(words: str) -> MediaSpec | None:
    for background in BACKGROUNDS:
        content = words.removesuffix(f" {background_forms(background)[0]}")
        if content != words:
            spec = _parse_clip(content, background) or _parse_scene(content, background)
            if spec is not None:
                return spec
    return None


def _parse_clip(words: str, background: str) -> ClipSpec | None:
    for motion in MOTIONS:
        kind = _kinds().get(words.removesuffix(f" {MOTION_FORMS[motion][0]}"))
        if kind and words.endswith(MOTION_FORMS[motion][0]):
            return ClipSpec(*kind, background=background, motion=motion)
    return None


def _parse_scene(words: str, background: str) -> SceneSpec | None:
    for size in SIZES:
        article, _, rest = words.partition(f" {size} ")
        if article in ("a", "an") and (obj := _parse_object(rest, size, with_article=False)):
            return SceneSpec((obj,), background)
    pieces = _SEPARATOR.split(words)
    objects = tuple(_parse_object(piece, "small", with_article=True) for piece in pieces)
    if len(objects) > 1 and all(objects):
        return SceneSpec(tuple(obj for obj in objects if obj), background)
    return _parse_identical(pieces, background)


def _parse_object(words: str, size: str, *, with_article: bool) -> ObjectSpec | None:
    for place in PLACES:
        name = words.removesuffix(f" {PLACE_FORMS[place][0]}")
        kind = (_kinds() if with_article else _bare_kinds()).get(name) if name != words else None
        if kind:
            return ObjectSpec(*kind, place=place, size=size)
    return None


def _parse_identical(pieces: list[str], background: str) -> SceneSpec | None:
    """Parse ``two blue dogs on the left and on the right``."""
    for place in PLACES:
        kind = _counted_kinds().get((len(pieces), pieces[0].removesuffix(f" {PLACE_FORMS[place][0]}")))
        if kind and pieces[0].endswith(PLACE_FORMS[place][0]):
            others = [_places().get(piece) for piece in pieces[1:]]
            if all(others):
                objects = tuple(ObjectSpec(*kind, place=where, size="small") for where in (place, *others) if where)
                assert are_identical(objects)
                return SceneSpec(objects, background)
    return None


@cache
def _bare_kinds() -> dict[str, Kind]:
    return {object_phrase(name, tint): (name, tint) for name, tint in product(OBJECTS, TINTS)}


@cache
def _kinds() -> dict[str, Kind]:
    return {indefinite(phrase): kind for phrase, kind in _bare_kinds().items()}


@cache
def _counted_kinds() -> dict[tuple[int, str], Kind]:
    return {(number, counted(number, *kind)): kind for number in (2, 3) for kind in _bare_kinds().values()}


@cache
def _places() -> dict[str, str]:
    return {PLACE_FORMS[place][0]: place for place in PLACES}
