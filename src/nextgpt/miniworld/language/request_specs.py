"""What people ask for: some attributes are said, and what they leave open is meant as the default.

A picture's default is large, in its natural colours, in the center of a white background; a sound's is one at the
middle pitch. Two objects stand left and right, three at the top left, top right and bottom.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from nextgpt.miniworld.language.captions import object_phrase
from nextgpt.miniworld.language.descriptions import counted, in_reading_order
from nextgpt.miniworld.language.dialogue_state import DialogueState
from nextgpt.miniworld.language.lexicon import (
    MOTION_FORMS,
    PATTERN_FORMS,
    PITCH_FORMS,
    PLACE_FORMS,
    SPEED_FORMS,
    background_forms,
    indefinite,
    is_instrument,
    listed,
    source_phrase,
)
from nextgpt.miniworld.objects import OBJECTS
from nextgpt.miniworld.sample_specs import LAYOUTS, sample_object
from nextgpt.miniworld.specs import (
    BACKGROUNDS,
    MOTIONS,
    PITCHES,
    PLACES,
    SIZES,
    SOURCES,
    SPEEDS,
    TIMED_PATTERNS,
    ClipSpec,
    MediaSpec,
    ObjectSpec,
    SceneSpec,
    SoundSpec,
    patterns_of,
)

FULL_SHARE = 0.3
"""How often a request leaves nothing open."""
STATED_SHARE = 0.45
"""How often an attribute is said otherwise."""
OWN_COLOR_SHARE = 0.2
"""How often the natural colour of an object is said, as in a red apple, though it changes nothing."""
IDENTICAL_SHARE = 0.35
"""How often several objects are of one kind."""
DEFAULT_LAYOUTS = {count: layouts[0] for count, layouts in LAYOUTS.items()}
RELATIONS: dict[tuple[str, str], tuple[str, ...]] = {
    ("left", "right"): (
        "{first} to the left of {second}",
        "{second} to the right of {first}",
        "{first} next to {second}",
    ),
    ("top", "bottom"): ("{first} above {second}", "{second} below {first}", "{second} under {first}"),
}
"""How two objects stand to each other."""


@dataclass(frozen=True)
class RequestSpec:
    """What is asked for: its words, without a verb, and the content that it means."""

    phrase: str
    spec: MediaSpec


def sample_request_spec(talk: DialogueState, modality: str) -> RequestSpec | None:
    """Something to ask for that belongs to the split."""
    wish_by_modality: dict[str, Callable[[DialogueState], RequestSpec]] = {
        "image": sample_scene_request,
        "audio": sample_sound_request,
        "video": sample_clip_request,
    }
    return talk.first_in_split(lambda: wish_by_modality[modality](talk), lambda wish: wish.spec)


def sample_scene_request(talk: DialogueState) -> RequestSpec:
    """A picture of one to three objects, of any split."""
    stated = _sample_stated(talk, "background")
    background = talk.choice(BACKGROUNDS) if stated else "white"
    where = talk.choice(background_forms(background)) if stated else ""
    count = talk.choice((1, 1, 1, 2, 2, 3))
    if count == 1:
        things, objects = _one_object(talk, where)
    else:
        things, objects = (_identical_objects if talk.bernoulli(IDENTICAL_SHARE) else _different_objects)(
            talk, count
        )
        things = f"{things} {where}"
    return RequestSpec(things.strip(), in_reading_order(SceneSpec(objects, background)))


def sample_sound_request(talk: DialogueState) -> RequestSpec:
    """A sound, of any split."""
    stated = _sample_stated(talk, "pitch", "pattern", "speed")
    source = talk.choice(SOURCES)
    pitch = talk.choice(PITCHES) if "pitch" in stated else "middle"
    pattern = talk.choice(patterns_of(source)) if "pattern" in stated else "single"
    has_speed = "speed" in stated and pattern in TIMED_PATTERNS
    sound = SoundSpec(source, pitch, pattern, talk.choice(SPEEDS) if has_speed else "slow")
    how = talk.choice(SPEED_FORMS[sound.speed]) if has_speed else ""
    high = talk.choice(PITCH_FORMS[pitch]) if "pitch" in stated else ""
    if is_instrument(source) and talk.bernoulli(0.4):
        return RequestSpec(_notes_phrase(talk, sound, high, how), sound)
    played = f", {talk.choice(PATTERN_FORMS[pattern])} {how}".rstrip() if "pattern" in stated else ""
    if not high:
        return RequestSpec(f"{_source_phrase(talk, source)}{played}", sound)
    if talk.bernoulli(0.5):
        return RequestSpec(f"{_source_phrase(talk, source)} at a {pitch} pitch{played}", sound)
    heard = source if is_instrument(source) else f"sound of {source_phrase(source)}"
    return RequestSpec(f"{indefinite(f'{high} {heard}')}{played}", sound)


def sample_clip_request(talk: DialogueState) -> RequestSpec:
    """A silent video, of any split; what moves and how is always said."""
    stated = _sample_stated(talk, "tint", "background")
    placed = sample_object(talk.rng)
    tint = placed.tint if "tint" in stated else "natural"
    background = talk.choice(BACKGROUNDS) if "background" in stated else "white"
    motion = talk.choice(MOTIONS)
    words = f"{_object_phrase(talk, replace(placed, tint=tint))} {talk.choice(MOTION_FORMS[motion])}"
    where = f" {talk.choice(background_forms(background))}" if "background" in stated else ""
    return RequestSpec(words + where, ClipSpec(placed.object, tint, background, motion))


def _sample_stated(talk: DialogueState, *names: str) -> set[str]:
    """The attributes that are said."""
    share = 1.0 if talk.bernoulli(FULL_SHARE) else STATED_SHARE
    return {name for name in names if talk.bernoulli(share)}


def _object_phrase(talk: DialogueState, placed: ObjectSpec, *, has_size: bool = False) -> str:
    """An object with its article, and at times with the colour that it has anyway."""
    own = OBJECTS[placed.object].color
    if own and placed.tint == "natural" and talk.bernoulli(OWN_COLOR_SHARE):
        placed = replace(placed, tint=own)
    size = placed.size if has_size else ""
    return indefinite(object_phrase(placed.object, placed.tint, talk.rng, size=size, may_omit=False))


def _one_object(talk: DialogueState, where: str) -> tuple[str, tuple[ObjectSpec, ...]]:
    stated = _sample_stated(talk, "tint", "place", "size")
    placed = sample_object(
        talk.rng,
        place=talk.choice(PLACES) if "place" in stated else "center",
        size=talk.choice(SIZES) if "size" in stated else "large",
    )
    placed = placed if "tint" in stated else replace(placed, tint="natural")
    place = talk.choice(PLACE_FORMS[placed.place]) if "place" in stated else ""
    phrases = [place, where] if talk.bernoulli(0.7) else [where, place]
    thing = _object_phrase(talk, placed, has_size="size" in stated)
    return " ".join(filter(None, [thing, *phrases])), (placed,)


def _identical_objects(talk: DialogueState, count: int) -> tuple[str, tuple[ObjectSpec, ...]]:
    """Two red cats, with their places or without."""
    placed = sample_object(talk.rng, size="small")
    has_places = talk.bernoulli(STATED_SHARE)
    layout = talk.choice(LAYOUTS[count]) if has_places else DEFAULT_LAYOUTS[count]
    words = counted(count, placed.object, placed.tint)
    if has_places:
        words += f" {listed([talk.choice(PLACE_FORMS[place]) for place in layout])}"
    return words, tuple(replace(placed, place=place) for place in layout)


def _different_objects(talk: DialogueState, count: int) -> tuple[str, tuple[ObjectSpec, ...]]:
    """Several objects, said with their places, by how they stand to each other, or simply one after the other."""
    layout = talk.choice(LAYOUTS[count])
    has_relation = layout in RELATIONS and talk.bernoulli(0.5)
    has_places = not has_relation and talk.bernoulli(0.6)
    if not has_relation and not has_places:
        layout = DEFAULT_LAYOUTS[count]
    elif has_places and talk.bernoulli(0.3):
        layout = tuple(talk.rng.permutation(layout).tolist())
    objects = tuple(sample_object(talk.rng, place, "small") for place in layout)
    things = [_object_phrase(talk, placed) for placed in objects]
    if has_relation:
        return talk.choice(RELATIONS[layout]).format(first=things[0], second=things[1]), objects
    if has_places:
        things = [
            f"{thing} {talk.choice(PLACE_FORMS[o.place])}" for thing, o in zip(things, objects, strict=True)
        ]
    return listed(things), objects


def _source_phrase(talk: DialogueState, source: str) -> str:
    """A source of sound as people ask for it: ``"a bell"``, ``"the sound of a bell"``."""
    return f"the sound of {source_phrase(source)}" if talk.bernoulli(0.3) else source_phrase(source)


def _notes_phrase(talk: DialogueState, sound: SoundSpec, high: str, how: str) -> str:
    """What is played on an instrument: ``"high notes rising fast on the violin"``."""
    patterns = {"single": f"{high} note", "chord": f"{high} chord", "repeated": f"{high} note"}
    notes = f"{high} notes" if sound.pattern not in patterns else indefinite(patterns[sound.pattern].strip())
    again = (
        "" if sound.pattern in ("single", "chord") else f" {talk.choice(PATTERN_FORMS[sound.pattern])} {how}"
    )
    return f"{notes}{again}".strip() + f" on {talk.choice((f'the {sound.source}', indefinite(sound.source)))}"
