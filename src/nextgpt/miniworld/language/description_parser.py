"""Parse the descriptions of :mod:`.descriptions` back to specs: they are unambiguous.

The cascade needs it: nano's LLM was pretrained on canonical captions, while nano describes media in sentences.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import cache

from nextgpt.miniworld.language.descriptions import pattern_phrase
from nextgpt.miniworld.language.lexicon import (
    MOTION_FORMS,
    NUMBERS,
    PLACE_FORMS,
    background_forms,
    noun,
    plural,
    source_phrase,
)
from nextgpt.miniworld.objects import OBJECTS
from nextgpt.miniworld.specs import (
    BACKGROUNDS,
    PATTERNS,
    PITCHES,
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

_INTRO = re.compile(r"(I (see|hear)|Here (is|are)) ")


def parse_description(text: str) -> MediaSpec | None:
    """Return the spec of a description such as ``"I see a large red cat at the top left on grass."``, else None."""
    match = _grammar().fullmatch(_INTRO.sub("", text.strip().removesuffix("."), count=1))
    return None if match is None else _parse_match(match.groupdict())


def parse_descriptions(text: str) -> tuple[MediaSpec, ...]:
    """Parse all descriptions in ``text``, in order."""
    return tuple(_parse_match(match.groupdict()) for match in _grammar().finditer(text))


_SOURCES = {source_phrase(source): source for source in SOURCES}
_PATTERNS = {
    pattern_phrase(sound): (sound.pattern, sound.speed)
    for pattern in PATTERNS
    for speed in (SPEEDS if pattern in TIMED_PATTERNS else SPEEDS[:1])
    for sound in [SoundSpec(SOURCES[0], pattern=pattern, speed=speed)]
}
_NOUNS = {noun(name): name for name in OBJECTS}
_PLURALS = {plural(name): name for name in OBJECTS}
_PLACES = {forms[0]: place for place, forms in PLACE_FORMS.items()}
_MOTIONS = {forms[0]: motion for motion, forms in MOTION_FORMS.items()}
_BACKGROUNDS = {background_forms(background)[0]: background for background in BACKGROUNDS}


def _any_of(phrases: Iterable[str]) -> str:
    return f"(?:{'|'.join(re.escape(phrase) for phrase in sorted(phrases, key=len, reverse=True))})"


_PLACE = _any_of(_PLACES)
_ONE = rf"\ban? (?:{_any_of(SIZES)} )?(?:{_any_of(TINTS[1:])} )?{_any_of(_NOUNS)}"
_SEVERAL = rf"\b(?:{_any_of(NUMBERS[2:])}) (?:{_any_of(TINTS[1:])} )?{_any_of(_PLURALS)}"


@cache
def _grammar() -> re.Pattern[str]:
    """Compile the grammar of all specs; the group names identify the spec type."""
    background, joint = _any_of(_BACKGROUNDS), "(?:, | and )"
    objects_text = rf"{_ONE} {_PLACE}(?:{joint}{_ONE} {_PLACE})*|{_SEVERAL} {_PLACE}(?:{joint}{_PLACE})+"
    clip = rf"(?P<moved>{_ONE}) (?P<motion>{_any_of(_MOTIONS)}) (?P<behind>{background})"
    pitch, pattern = _any_of(PITCHES), _any_of(_PATTERNS)
    sound = rf"(?P<source>{_any_of(_SOURCES)}) at a (?P<pitch>{pitch}) pitch, (?P<pattern>{pattern})"
    return re.compile(rf"(?P<things>{objects_text}) (?P<background>{background})|{clip}|{sound}")


def _parse_match(groups: Mapping[str, str | None]) -> MediaSpec:
    if source := groups["source"]:
        pattern, speed = _PATTERNS[groups["pattern"] or ""]
        return SoundSpec(_SOURCES[source], groups["pitch"] or "", pattern, speed)
    if moving_object := groups["moved"]:
        kind = _parse_object(moving_object)
        return ClipSpec(kind.object, kind.tint, _BACKGROUNDS[groups["behind"] or ""], _MOTIONS[groups["motion"] or ""])
    objects_text = groups["things"] or ""
    return SceneSpec(tuple(_parse_objects(objects_text)), _BACKGROUNDS[groups["background"] or ""])


def _parse_objects(objects_text: str) -> Iterable[ObjectSpec]:
    noun_phrases, places = re.findall(f"{_ONE}|{_SEVERAL}", objects_text), re.findall(_PLACE, objects_text)
    kinds = (
        [_parse_object(words) for words in noun_phrases]
        if len(noun_phrases) == len(places)
        else [_parse_object(noun_phrases[0])] * len(places)
    )
    for kind, place in zip(kinds, places, strict=True):
        yield replace(kind, place=_PLACES[place], size=kind.size if len(places) == 1 else "small")


def _parse_object(words: str) -> ObjectSpec:
    """Parse ``"a large red cat"`` or ``"two red cats"``, without the place; its own color is the natural tint."""
    number, _, words = words.partition(" ")
    head, _, rest = words.partition(" ")
    size, words = (head, rest) if head in SIZES else ("small", words)
    tint, _, rest = words.partition(" ")
    tint, words = (tint, rest) if tint in TINTS else ("natural", words)
    name = (_PLURALS if number in NUMBERS else _NOUNS)[words]
    return ObjectSpec(name, "natural" if tint == OBJECTS[name].color else tint, size=size)
