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


def sample_request_spec(state: DialogueState, modality: str) -> RequestSpec | None:
    """Something to ask for that belongs to the split."""
    wish_by_modality: dict[str, Callable[[DialogueState], RequestSpec]] = {
        "image": sample_scene_request,
        "audio": sample_sound_request,
        "video": sample_clip_request,
    }
    return state.first_in_split(lambda: wish_by_modality[modality](state), lambda wish: wish.spec)


def sample_scene_request(state: DialogueState) -> RequestSpec:
    """A picture of one to three objects, of any split."""
    stated = _sample_stated(state, "background")
    background = state.choice(BACKGROUNDS) if stated else "white"
    where = state.choice(background_forms(background)) if stated else ""
    count = state.choice((1, 1, 1, 2, 2, 3))
    if count == 1:
        things, objects = _one_object(state, where)
    else:
        things, objects = (_identical_objects if state.bernoulli(IDENTICAL_SHARE) else _different_objects)(
            state, count
        )
        things = f"{things} {where}"
    return RequestSpec(things.strip(), in_reading_order(SceneSpec(objects, background)))


def sample_sound_request(state: DialogueState) -> RequestSpec:
    """A sound, of any split."""
    stated = _sample_stated(state, "pitch", "pattern", "speed")
    source = state.choice(SOURCES)
    pitch = state.choice(PITCHES) if "pitch" in stated else "middle"
    pattern = state.choice(patterns_of(source)) if "pattern" in stated else "single"
    has_speed = "speed" in stated and pattern in TIMED_PATTERNS
    sound = SoundSpec(source, pitch, pattern, state.choice(SPEEDS) if has_speed else "slow")
    how = state.choice(SPEED_FORMS[sound.speed]) if has_speed else ""
    high = state.choice(PITCH_FORMS[pitch]) if "pitch" in stated else ""
    if is_instrument(source) and state.bernoulli(0.4):
        return RequestSpec(_notes_phrase(state, sound, high, how), sound)
    played = f", {state.choice(PATTERN_FORMS[pattern])} {how}".rstrip() if "pattern" in stated else ""
    if not high:
        return RequestSpec(f"{_source_phrase(state, source)}{played}", sound)
    if state.bernoulli(0.5):
        return RequestSpec(f"{_source_phrase(state, source)} at a {pitch} pitch{played}", sound)
    heard = source if is_instrument(source) else f"sound of {source_phrase(source)}"
    return RequestSpec(f"{indefinite(f'{high} {heard}')}{played}", sound)


def sample_clip_request(state: DialogueState) -> RequestSpec:
    """A silent video, of any split; what moves and how is always said."""
    stated = _sample_stated(state, "tint", "background")
    obj = sample_object(state.rng)
    tint = obj.tint if "tint" in stated else "natural"
    background = state.choice(BACKGROUNDS) if "background" in stated else "white"
    motion = state.choice(MOTIONS)
    words = f"{_object_phrase(state, replace(obj, tint=tint))} {state.choice(MOTION_FORMS[motion])}"
    where = f" {state.choice(background_forms(background))}" if "background" in stated else ""
    return RequestSpec(words + where, ClipSpec(obj.object, tint, background, motion))


def _sample_stated(state: DialogueState, *names: str) -> set[str]:
    """The attributes that are said."""
    share = 1.0 if state.bernoulli(FULL_SHARE) else STATED_SHARE
    return {name for name in names if state.bernoulli(share)}


def _object_phrase(state: DialogueState, obj: ObjectSpec, *, has_size: bool = False) -> str:
    """An object with its article, and at times with the colour that it has anyway."""
    own = OBJECTS[obj.object].color
    if own and obj.tint == "natural" and state.bernoulli(OWN_COLOR_SHARE):
        obj = replace(obj, tint=own)
    size = obj.size if has_size else ""
    return indefinite(object_phrase(obj.object, obj.tint, state.rng, size=size, may_omit=False))


def _one_object(state: DialogueState, where: str) -> tuple[str, tuple[ObjectSpec, ...]]:
    stated = _sample_stated(state, "tint", "place", "size")
    obj = sample_object(
        state.rng,
        place=state.choice(PLACES) if "place" in stated else "center",
        size=state.choice(SIZES) if "size" in stated else "large",
    )
    obj = obj if "tint" in stated else replace(obj, tint="natural")
    place = state.choice(PLACE_FORMS[obj.place]) if "place" in stated else ""
    phrases = [place, where] if state.bernoulli(0.7) else [where, place]
    thing = _object_phrase(state, obj, has_size="size" in stated)
    return " ".join(filter(None, [thing, *phrases])), (obj,)


def _identical_objects(state: DialogueState, count: int) -> tuple[str, tuple[ObjectSpec, ...]]:
    """Two red cats, with their places or without."""
    obj = sample_object(state.rng, size="small")
    has_places = state.bernoulli(STATED_SHARE)
    layout = state.choice(LAYOUTS[count]) if has_places else DEFAULT_LAYOUTS[count]
    words = counted(count, obj.object, obj.tint)
    if has_places:
        words += f" {listed([state.choice(PLACE_FORMS[place]) for place in layout])}"
    return words, tuple(replace(obj, place=place) for place in layout)


def _different_objects(state: DialogueState, count: int) -> tuple[str, tuple[ObjectSpec, ...]]:
    """Several objects, said with their places, by how they stand to each other, or simply one after the other."""
    layout = state.choice(LAYOUTS[count])
    has_relation = layout in RELATIONS and state.bernoulli(0.5)
    has_places = not has_relation and state.bernoulli(0.6)
    if not has_relation and not has_places:
        layout = DEFAULT_LAYOUTS[count]
    elif has_places and state.bernoulli(0.3):
        layout = tuple(state.rng.permutation(layout).tolist())
    objects = tuple(sample_object(state.rng, place, "small") for place in layout)
    things = [_object_phrase(state, obj) for obj in objects]
    if has_relation:
        return state.choice(RELATIONS[layout]).format(first=things[0], second=things[1]), objects
    if has_places:
        things = [
            f"{thing} {state.choice(PLACE_FORMS[o.place])}" for thing, o in zip(things, objects, strict=True)
        ]
    return listed(things), objects


def _source_phrase(state: DialogueState, source: str) -> str:
    """A source of sound as people ask for it: ``"a bell"``, ``"the sound of a bell"``."""
    return f"the sound of {source_phrase(source)}" if state.bernoulli(0.3) else source_phrase(source)


def _notes_phrase(state: DialogueState, sound: SoundSpec, high: str, how: str) -> str:
    """What is played on an instrument: ``"high notes rising fast on the violin"``."""
    patterns = {"single": f"{high} note", "chord": f"{high} chord", "repeated": f"{high} note"}
    notes = f"{high} notes" if sound.pattern not in patterns else indefinite(patterns[sound.pattern].strip())
    again = (
        "" if sound.pattern in ("single", "chord") else f" {state.choice(PATTERN_FORMS[sound.pattern])} {how}"
    )
    return (
        f"{notes}{again}".strip() + f" on {state.choice((f'the {sound.source}', indefinite(sound.source)))}"
    )
