"""Requested media: stated attributes have a phrase, all others take their defaults.

By default an image's object is large, in natural color, in the center of a white background; a sound is
played once at the middle pitch. Two objects are placed left and right, three at the top left, top right and
bottom.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
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
"""Probability that a request states every attribute."""
STATED_SHARE = 0.45
"""Probability of stating an attribute otherwise."""
OWN_COLOR_SHARE = 0.2
"""Probability of stating an object's natural color, as in a red apple, which changes nothing."""
IDENTICAL_SHARE = 0.35
"""Probability that several objects are of one kind."""
DEFAULT_LAYOUTS = {count: layouts[0] for count, layouts in LAYOUTS.items()}
RELATIONS: dict[tuple[str, str], tuple[str, ...]] = {
    ("left", "right"): (
        "{first} to the left of {second}",
        "{second} to the right of {first}",
        "{first} next to {second}",
    ),
    ("top", "bottom"): ("{first} above {second}", "{second} below {first}", "{second} under {first}"),
}
"""Phrases for the relative position of two objects."""


@dataclass(frozen=True)
class RequestSpec:
    """A requested medium: noun phrase without a verb, and its spec."""

    phrase: str
    spec: MediaSpec


def sample_request_spec(state: DialogueState, modality: str) -> RequestSpec | None:
    """Sample a requested medium of the split."""
    wish_by_modality: dict[str, Callable[[DialogueState], RequestSpec]] = {
        "image": sample_scene_request,
        "audio": sample_sound_request,
        "video": sample_clip_request,
    }
    return state.first_in_split(lambda: wish_by_modality[modality](state), lambda requested: requested.spec)


def sample_scene_request(state: DialogueState) -> RequestSpec:
    """Sample an image request of one to three objects, of either split."""
    stated = _sample_stated(state, "background")
    background = state.choice(BACKGROUNDS) if stated else "white"
    where = state.choice(background_forms(background)) if stated else ""
    count = state.choice((1, 1, 1, 2, 2, 3))
    if count == 1:
        noun_phrases, objects = _one_object(state, where)
    else:
        noun_phrases, objects = (_identical_objects if state.bernoulli(IDENTICAL_SHARE) else _different_objects)(
            state, count
        )
        noun_phrases = f"{noun_phrases} {where}"
    return RequestSpec(noun_phrases.strip(), in_reading_order(SceneSpec(objects, background)))


def sample_sound_request(state: DialogueState) -> RequestSpec:
    """Sample an audio request, of either split."""
    stated = _sample_stated(state, "pitch", "pattern", "speed")
    source = state.choice(SOURCES)
    pitch = state.choice(PITCHES) if "pitch" in stated else "middle"
    pattern = state.choice(patterns_of(source)) if "pattern" in stated else "single"
    has_speed = "speed" in stated and pattern in TIMED_PATTERNS
    sound = SoundSpec(source, pitch, pattern, state.choice(SPEEDS) if has_speed else "slow")
    speed_phrase = state.choice(SPEED_FORMS[sound.speed]) if has_speed else ""
    pitch_phrase = state.choice(PITCH_FORMS[pitch]) if "pitch" in stated else ""
    if is_instrument(source) and state.bernoulli(0.4):
        return RequestSpec(_notes_phrase(state, sound, pitch_phrase, speed_phrase), sound)
    pattern_suffix = f", {state.choice(PATTERN_FORMS[pattern])} {speed_phrase}".rstrip() if "pattern" in stated else ""
    if not pitch_phrase:
        return RequestSpec(f"{_source_phrase(state, source)}{pattern_suffix}", sound)
    if state.bernoulli(0.5):
        return RequestSpec(f"{_source_phrase(state, source)} at a {pitch} pitch{pattern_suffix}", sound)
    noun_phrase = source if is_instrument(source) else f"sound of {source_phrase(source)}"
    return RequestSpec(f"{indefinite(f'{pitch_phrase} {noun_phrase}')}{pattern_suffix}", sound)


def sample_clip_request(state: DialogueState) -> RequestSpec:
    """Sample a request for a silent video, of either split; object and motion are always stated."""
    stated = _sample_stated(state, "tint", "background")
    clip = sample_clip_with(state, stated)
    words = f"{_object_phrase(state, ObjectSpec(clip.object, clip.tint))} {state.choice(MOTION_FORMS[clip.motion])}"
    where = f" {state.choice(background_forms(clip.background))}" if "background" in stated else ""
    return RequestSpec(words + where, clip)


def sample_object_with(state: DialogueState, stated: Collection[str]) -> ObjectSpec:
    """Sample an object of an image whose place, size and tint have their defaults unless in ``stated``."""
    obj = sample_object(state.rng, state.choice(PLACES) if "place" in stated else "center")
    size = state.choice(SIZES) if "size" in stated else "large"
    return replace(obj, size=size, tint=obj.tint if "tint" in stated else "natural")


def sample_clip_with(state: DialogueState, stated: Collection[str]) -> ClipSpec:
    """Sample a silent video with any motion whose tint and background have their defaults unless in ``stated``."""
    obj = sample_object(state.rng)
    tint = obj.tint if "tint" in stated else "natural"
    background = state.choice(BACKGROUNDS) if "background" in stated else "white"
    return ClipSpec(obj.object, tint, background, state.choice(MOTIONS))


def _sample_stated(state: DialogueState, *names: str) -> set[str]:
    """Sample which attributes are stated."""
    share = 1.0 if state.bernoulli(FULL_SHARE) else STATED_SHARE
    return {name for name in names if state.bernoulli(share)}


def _object_phrase(state: DialogueState, obj: ObjectSpec, *, has_size: bool = False) -> str:
    """Return an object with its article, and sometimes its natural color."""
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
    noun_phrase = _object_phrase(state, obj, has_size="size" in stated)
    return " ".join(filter(None, [noun_phrase, *phrases])), (obj,)


def _identical_objects(state: DialogueState, count: int) -> tuple[str, tuple[ObjectSpec, ...]]:
    """Return several objects of one kind, with or without places."""
    obj = sample_object(state.rng, size="small")
    has_places = state.bernoulli(STATED_SHARE)
    layout = state.choice(LAYOUTS[count]) if has_places else DEFAULT_LAYOUTS[count]
    words = counted(count, obj.object, obj.tint)
    if has_places:
        words += f" {listed([state.choice(PLACE_FORMS[place]) for place in layout])}"
    return words, tuple(replace(obj, place=place) for place in layout)


def _different_objects(state: DialogueState, count: int) -> tuple[str, tuple[ObjectSpec, ...]]:
    """Return several objects by place, by relation or as a plain list."""
    layout = state.choice(LAYOUTS[count])
    has_relation = layout in RELATIONS and state.bernoulli(0.5)
    has_places = not has_relation and state.bernoulli(0.6)
    if not has_relation and not has_places:
        layout = DEFAULT_LAYOUTS[count]
    elif has_places and state.bernoulli(0.3):
        layout = tuple(state.rng.permutation(layout).tolist())
    objects = tuple(sample_object(state.rng, place, "small") for place in layout)
    noun_phrases = [_object_phrase(state, obj) for obj in objects]
    if has_relation:
        return state.choice(RELATIONS[layout]).format(first=noun_phrases[0], second=noun_phrases[1]), objects
    if has_places:
        noun_phrases = [
            f"{noun_phrase} {state.choice(PLACE_FORMS[obj.place])}"
            for noun_phrase, obj in zip(noun_phrases, objects, strict=True)
        ]
    return listed(noun_phrases), objects


def _source_phrase(state: DialogueState, source: str) -> str:
    """Return a sound source: ``"a bell"``, ``"the sound of a bell"``."""
    return f"the sound of {source_phrase(source)}" if state.bernoulli(0.3) else source_phrase(source)


def _notes_phrase(state: DialogueState, sound: SoundSpec, pitch_phrase: str, speed_phrase: str) -> str:
    """Return notes of an instrument: ``"high notes rising fast on the violin"``."""
    patterns = {"single": f"{pitch_phrase} note", "chord": f"{pitch_phrase} chord", "repeated": f"{pitch_phrase} note"}
    notes = f"{pitch_phrase} notes" if sound.pattern not in patterns else indefinite(patterns[sound.pattern].strip())
    suffix = (
        "" if sound.pattern in ("single", "chord") else f" {state.choice(PATTERN_FORMS[sound.pattern])} {speed_phrase}"
    )
    return f"{notes}{suffix}".strip() + f" on {state.choice((f'the {sound.source}', indefinite(sound.source)))}"
