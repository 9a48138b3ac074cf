"""Varied captions: synonyms, different orders and omitted attributes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from nextgpt.miniworld.language.lexicon import (
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
from nextgpt.miniworld.language.templates import expand_template, load_templates
from nextgpt.miniworld.specs import TIMED_PATTERNS, MediaSpec, ObjectSpec, SceneSpec, SoundSpec
from nextgpt.miniworld.splits import Split

TEMPLATES = load_templates("captions")

OMISSION_SHARE = 0.15
"""Probability of omitting an attribute; the main attribute is never omitted."""
SYNONYM_SHARE = 0.3
"""Probability of using a synonym of an object's name."""
COUNTED_SHARE = 0.7
"""Probability of counting identical objects instead of listing them."""


def choice(rng: np.random.Generator, choices: Sequence[str]) -> str:
    """Return a random element of ``choices``."""
    return choices[int(rng.integers(len(choices)))]


def caption(spec: MediaSpec, rng: np.random.Generator, split: Split = "train") -> str:
    """Sample a caption of ``spec`` in lower case; attributes may be omitted."""
    if isinstance(spec, SoundSpec):
        return _sound_caption(spec, rng, split)
    frame = TEMPLATES["scenes"] if isinstance(spec, SceneSpec) else TEMPLATES["clips"]
    values = {"background": "" if _omit(rng) else choice(rng, background_forms(spec.background))}
    if isinstance(spec, SceneSpec):
        values["things"] = objects_phrase(spec.objects, rng)
    else:
        values["thing"] = indefinite(object_phrase(spec.object, spec.tint, rng))
        values["motion"] = choice(rng, MOTION_FORMS[spec.motion])
    return _collapse_gaps(expand_template(rng, choice(rng, frame.of(split))).format(**values))


def object_phrase(name: str, tint: str, rng: np.random.Generator, *, size: str = "", may_omit: bool = True) -> str:
    """Return an object without its article: ``"tiny violet kitten"``. Omitted attributes have defaults."""
    others = synonyms(name)
    word = choice(rng, others) if others and rng.random() < SYNONYM_SHARE else noun(name)
    size = choice(rng, SIZE_FORMS[size]) if size and not (may_omit and _omit(rng)) else ""
    has_tint = tint != "natural" and not (may_omit and _omit(rng))
    return " ".join(filter(None, [size, choice(rng, TINT_FORMS[tint]) if has_tint else "", word]))


def objects_phrase(objects: tuple[ObjectSpec, ...], rng: np.random.Generator) -> str:
    """Return the objects of an image: ``"on the left a dog and on the right a cat"``, ``"two dogs"``."""
    first = objects[0]
    if len(objects) > 1 and are_identical(objects) and rng.random() < COUNTED_SHARE:
        tint = "" if first.tint == "natural" else f"{choice(rng, TINT_FORMS[first.tint])} "
        places = [choice(rng, PLACE_FORMS[o.place]) for o in objects]
        where = "" if _omit(rng) else f" {listed(places)}"
        return f"{NUMBERS[len(objects)]} {tint}{plural(first.object)}{where}"
    noun_phrases = [
        indefinite(object_phrase(o.object, o.tint, rng, size=o.size if len(objects) == 1 else "")) for o in objects
    ]
    if _omit(rng):
        return listed(noun_phrases)
    places = [choice(rng, PLACE_FORMS[obj.place]) for obj in objects]
    # All places stand on the same side of their objects, or it would be unclear which belongs to which.
    pairs = zip(places, noun_phrases, strict=True) if rng.random() < 0.25 else zip(noun_phrases, places, strict=True)
    return listed([" ".join(pair) for pair in pairs])


def are_identical(objects: Sequence[ObjectSpec]) -> bool:
    """Return True if all objects share kind and tint, so that they can be counted."""
    return len({(obj.object, obj.tint) for obj in objects}) == 1


def _sound_caption(sound: SoundSpec, rng: np.random.Generator, split: Split) -> str:
    pattern = "" if _omit(rng) else choice(rng, PATTERN_FORMS[sound.pattern])
    if pattern and sound.pattern in TIMED_PATTERNS and not _omit(rng):
        pattern += f" {choice(rng, SPEED_FORMS[sound.speed])}"
    pitch = choice(rng, PITCH_FORMS[sound.pitch])
    name = sound.source if is_instrument(sound.source) else f"sound of {source_phrase(sound.source)}"
    values = {
        "source": source_phrase(sound.source),
        "name": name,
        "pitch": pitch,
        "level": sound.pitch,
        "pitch_of": indefinite(pitch),
        "pattern": pattern and f", {pattern}",
    }
    return _collapse_gaps(expand_template(rng, choice(rng, TEMPLATES["sounds"].of(split))).format(**values))


def _omit(rng: np.random.Generator) -> bool:
    return rng.random() < OMISSION_SHARE


def _collapse_gaps(words: str) -> str:
    """Remove the gaps of omitted attributes."""
    return " ".join(words.split()).strip(", ").replace(" ,", ",")
