"""Varied captions: synonyms, other orders, and attributes that are left out, as people write them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from nextgpt.miniworld.language.phrasing import Phrasings, choose_variant
from nextgpt.miniworld.language.wording import (
    MOTION_FORMS,
    NUMBERS,
    PATTERN_FORMS,
    PITCH_FORMS,
    PLACE_FORMS,
    SIZE_FORMS,
    SPEED_FORMS,
    TINT_FORMS,
    background_forms,
    indefinite,
    is_instrument,
    listed,
    noun,
    plural,
    source_phrase,
    synonyms,
)
from nextgpt.miniworld.scene import TIMED_PATTERNS, Content, Placed, Scene, Sound
from nextgpt.miniworld.splits import Split

LEFT_OUT_SHARE = 0.15
"""How often an attribute of a caption is left out; what is shown or heard never is."""
SYNONYM_SHARE = 0.3
"""How often an object has one of its other names."""
COUNTED_SHARE = 0.7
"""How often objects of one kind and tint are counted instead of listed."""

SCENES = Phrasings(
    (
        "{things} {background}",
        "[a picture|an image] of {things}",
        "{background}, {things}",
        "there is {things}",
        "a picture of {things} {background}",
        "[a picture|an image], {background}, {things}",
    ),
    held_out=("an image of {things} {background}", "a picture, {things} {background}"),
)
SOUNDS = Phrasings(
    (
        "{source}, {pitch}{pattern}",
        "[the|a] sound of {source}, {pitch}{pattern}",
        "{pitch_of} {name}{pattern}",
        "{source} at a {level} pitch{pattern}",
        "{pitch_of} sound, {source}{pattern}",
    ),
    held_out=("the sound of {source} at a {level} pitch{pattern}", "a sound, {source}, {pitch}{pattern}"),
)
CLIPS = Phrasings(
    (
        "{thing} {motion} {background}",
        "a video of {thing} {motion}",
        "{background}, {thing} {motion}",
        "[a clip|a video] of {thing} {motion} {background}",
        "there is {thing} {motion} {background}",
    ),
    held_out=("{background}, a video of {thing} {motion}", "there is a clip of {thing} {motion}"),
)


def choose(rng: np.random.Generator, choices: Sequence[str]) -> str:
    """One of ``choices``."""
    return choices[int(rng.integers(len(choices)))]


def caption(content: Content, rng: np.random.Generator, split: Split = "train") -> str:
    """Say what ``content`` is in one of many ways, in lower case; attributes may be left out."""
    if isinstance(content, Sound):
        return _sound(content, rng, split)
    frame = SCENES if isinstance(content, Scene) else CLIPS
    values = {"background": "" if _is_left_out(rng) else choose(rng, background_forms(content.background))}
    if isinstance(content, Scene):
        values["things"] = say_things(content.objects, rng)
    else:
        values["thing"] = indefinite(say_kind(content.object, content.tint, rng))
        values["motion"] = choose(rng, MOTION_FORMS[content.motion])
    return _tidy(choose_variant(rng, choose(rng, frame.of(split))).format(**values))


def say_kind(name: str, tint: str, rng: np.random.Generator, *, size: str = "", may_omit: bool = True) -> str:
    """An object without its article: ``"tiny violet kitten"``. Left-out attributes are those of a default."""
    others = synonyms(name)
    named = choose(rng, others) if others and rng.random() < SYNONYM_SHARE else noun(name)
    size = choose(rng, SIZE_FORMS[size]) if size and not (may_omit and _is_left_out(rng)) else ""
    has_tint = tint != "natural" and not (may_omit and _is_left_out(rng))
    return " ".join(filter(None, [size, choose(rng, TINT_FORMS[tint]) if has_tint else "", named]))


def say_things(objects: tuple[Placed, ...], rng: np.random.Generator) -> str:
    """The objects of a picture: ``"on the left a dog and on the right a cat"``, ``"two dogs"``."""
    first = objects[0]
    if len(objects) > 1 and are_alike(objects) and rng.random() < COUNTED_SHARE:
        tint = "" if first.tint == "natural" else f"{choose(rng, TINT_FORMS[first.tint])} "
        places = [choose(rng, PLACE_FORMS[o.place]) for o in objects]
        where = "" if _is_left_out(rng) else f" {listed(places)}"
        return f"{NUMBERS[len(objects)]} {tint}{plural(first.object)}{where}"
    things = [
        indefinite(say_kind(o.object, o.tint, rng, size=o.size if len(objects) == 1 else "")) for o in objects
    ]
    if _is_left_out(rng):
        return listed(things)
    places = [choose(rng, PLACE_FORMS[placed.place]) for placed in objects]
    # All places stand on the same side of their objects, or it would be unclear which belongs to which.
    pairs = zip(places, things, strict=True) if rng.random() < 0.25 else zip(things, places, strict=True)
    return listed([" ".join(pair) for pair in pairs])


def are_alike(objects: Sequence[Placed]) -> bool:
    """Whether all objects are of one kind and tint, so that they can be counted."""
    return len({(placed.object, placed.tint) for placed in objects}) == 1


def _sound(sound: Sound, rng: np.random.Generator, split: Split) -> str:
    pattern = "" if _is_left_out(rng) else choose(rng, PATTERN_FORMS[sound.pattern])
    if pattern and sound.pattern in TIMED_PATTERNS and not _is_left_out(rng):
        pattern += f" {choose(rng, SPEED_FORMS[sound.speed])}"
    pitch = choose(rng, PITCH_FORMS[sound.pitch])
    name = sound.source if is_instrument(sound.source) else f"sound of {source_phrase(sound.source)}"
    values = {
        "source": source_phrase(sound.source),
        "name": name,
        "pitch": pitch,
        "level": sound.pitch,
        "pitch_of": indefinite(pitch),
        "pattern": pattern and f", {pattern}",
    }
    return _tidy(choose_variant(rng, choose(rng, SOUNDS.of(split))).format(**values))


def _is_left_out(rng: np.random.Generator) -> bool:
    return rng.random() < LEFT_OUT_SHARE


def _tidy(words: str) -> str:
    """Close the gaps that left-out attributes leave."""
    return " ".join(words.split()).strip(", ").replace(" ,", ",")
