"""Descriptions in answers: one regular English phrase per spec.

::

    a large red cat at the top left on grass
    a cat on the left and a blue dog on the right on a pink background
    two blue dogs on the left and on the right at night
    a flute at a high pitch, rising fast
    a red cat moving left on grass

The natural tint is not mentioned; several objects are always small. A description that repeats a person's words may
state an object's natural color (:func:`with_own_colors`): ``a large yellow key`` is the same spec as ``a large key``.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from nextgpt.miniworld.language.captions import are_identical
from nextgpt.miniworld.language.lexicon import (
    MOTION_FORMS,
    NUMBERS,
    PATTERN_FORMS,
    PLACE_FORMS,
    SPEED_FORMS,
    background_forms,
    indefinite,
    listed,
    noun,
    plural,
    source_phrase,
)
from nextgpt.miniworld.objects import OBJECTS
from nextgpt.miniworld.specs import PLACES, TIMED_PATTERNS, ClipSpec, MediaSpec, ObjectSpec, SceneSpec, SoundSpec


def describe(spec: MediaSpec) -> str:
    """Return the description of ``spec``."""
    if isinstance(spec, SoundSpec):
        return f"{source_phrase(spec.source)} at a {spec.pitch} pitch, {pattern_phrase(spec)}"
    background = background_forms(spec.background)[0]
    if isinstance(spec, ClipSpec):
        thing = indefinite(object_phrase(spec.object, spec.tint))
        return f"{thing} {MOTION_FORMS[spec.motion][0]} {background}"
    return f"{objects_phrase(spec.objects)} {background}"


def object_phrase(name: str, tint: str = "natural") -> str:
    """Return an object with its tint, without an article: ``"red cat"``."""
    return noun(name) if tint == "natural" else f"{tint} {noun(name)}"


def objects_phrase(objects: tuple[ObjectSpec, ...]) -> str:
    """Return the objects of an image with their places: ``"two cats on the left and on the right"``."""
    places = [PLACE_FORMS[obj.place][0] for obj in objects]
    first = objects[0]
    if len(objects) == 1:
        return f"{indefinite(f'{first.size} {object_phrase(first.object, first.tint)}')} {places[0]}"
    if are_identical(objects):
        return f"{counted(len(objects), first.object, first.tint)} {listed(places)}"
    objects_text = [indefinite(object_phrase(obj.object, obj.tint)) for obj in objects]
    return listed([f"{thing} {place}" for thing, place in zip(objects_text, places, strict=True)])


def counted(number: int, name: str, tint: str = "natural") -> str:
    """Return a number of objects: ``"one red cat"``, ``"no owls"``."""
    words = noun(name) if number == 1 else plural(name)
    return f"{NUMBERS[number]} {words}" if tint == "natural" else f"{NUMBERS[number]} {tint} {words}"


def pattern_phrase(sound: SoundSpec) -> str:
    """Return the pattern of a sound, with its speed if it has one: ``"rising fast"``, ``"once"``."""
    words = PATTERN_FORMS[sound.pattern][0]
    return f"{words} {SPEED_FORMS[sound.speed][0]}" if sound.pattern in TIMED_PATTERNS else words


def with_own_colors(spec: MediaSpec, names: Collection[str]) -> MediaSpec:
    """Return a spec for :func:`describe` alone, in which the objects in ``names`` have their color as a tint.

    Objects of another tint, and those without a color of their own, stay as they are.
    """

    def colored(name: str, tint: str) -> str:
        return (OBJECTS[name].color or tint) if tint == "natural" and name in names else tint

    if isinstance(spec, ClipSpec):
        return replace(spec, tint=colored(spec.object, spec.tint))
    if isinstance(spec, SceneSpec):
        return replace(spec, objects=tuple(replace(obj, tint=colored(obj.object, obj.tint)) for obj in spec.objects))
    return spec


def in_reading_order(spec: MediaSpec) -> MediaSpec:
    """Sort the objects of an image by place in reading order, as their order cannot be recognized."""
    if not isinstance(spec, SceneSpec):
        return spec
    return replace(spec, objects=tuple(sorted(spec.objects, key=lambda obj: PLACES.index(obj.place))))
