"""Requests in an author's whole messages, with slots for what is requested anywhere in them.

The templates of ``image`` or ``audio`` put a noun phrase into a frame. Those of ``message_image`` and its like are what
a person types at once: ``"sketch {thing} for me? {color}, and {place} please, it's for my nephew"``. Attributes that a
message has no slot for have their defaults.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from nextgpt.miniworld.language.phrasings import noun_phrases as phrases
from nextgpt.miniworld.language.phrasings.author import SLOT
from nextgpt.miniworld.language.phrasings.filling import fill
from nextgpt.miniworld.language.phrasings.state import PhrasedState
from nextgpt.miniworld.language.request_specs import DEFAULT_LAYOUTS, RequestSpec, sample_clip_with, sample_object_with
from nextgpt.miniworld.language.templates import expand_template
from nextgpt.miniworld.language.types import DialogueTurn
from nextgpt.miniworld.objects import OBJECTS
from nextgpt.miniworld.sample_specs import LAYOUTS
from nextgpt.miniworld.specs import (
    BACKGROUNDS,
    PITCHES,
    SOURCES,
    SPEEDS,
    TIMED_PATTERNS,
    TINTS,
    WORD_SOURCES,
    ClipSpec,
    ObjectSpec,
    SceneSpec,
    SoundSpec,
    patterns_of,
)

MESSAGE_RATE = 0.65
"""Probability of a whole message if the author has templates for it."""
_ATTRIBUTES = {"color": "tint", "size": "size", "place": "place"}
_NAME_SLOT = re.compile(r"(?:thing|noun)(2?)")
_BACKGROUND_SLOTS = frozenset({"background", "bg"})

SampleRequest = Callable[[PhrasedState, str], RequestSpec | None]


def has_message(state: PhrasedState, modality: str) -> bool:
    """Return True if the next request for ``modality``, or for ``several`` media, shall be a whole message."""
    return state.author.has(f"message_{modality}") and state.bernoulli(MESSAGE_RATE)


def request_in_message(state: PhrasedState, modality: str) -> DialogueTurn | None:
    """Request one medium."""
    template = expand_template(state.rng, state.choice(state.author.patterns[f"message_{modality}"]))
    slots = SLOT.findall(template)
    request = state.first_in_split(lambda: _SAMPLERS[modality](state, slots), lambda sampled: sampled[0])
    if request is None:
        return None
    spec, values = request
    return state.media_turn(f"text_to_{modality}", state.typed(fill(state.rng, template, values)), spec)


def request_several_in_message(state: PhrasedState, sample_request: SampleRequest) -> DialogueTurn | None:
    """Request two or three media, in the order of their slots (``image``, ``audio2``) in the message."""
    template = expand_template(state.rng, state.choice(state.author.patterns["message_several"]))
    slots = list(dict.fromkeys(SLOT.findall(template)))
    requests = {slot: request for slot in slots if (request := sample_request(state, slot.rstrip("2")))}
    if len(requests) < len(slots):
        return None
    words = fill(state.rng, template, {slot: request.phrase for slot, request in requests.items()})
    return state.media_turn("text_to_several", state.typed(words), *[request.spec for request in requests.values()])


_Sampled = tuple[SceneSpec | SoundSpec | ClipSpec, Mapping[str, str]]


def _sample_image(state: PhrasedState, slots: Sequence[str]) -> _Sampled:
    # Numbers of the objects in the order of the message, which is also that of the default places.
    numbers = list(dict.fromkeys(match[1] for slot in slots if (match := _NAME_SLOT.fullmatch(slot))))
    objects = tuple(_object(state, slots, number) for number in numbers)
    if len(objects) == 2:
        has_places = "place" in slots
        layout = state.rng.permutation(state.choice(LAYOUTS[2])).tolist() if has_places else DEFAULT_LAYOUTS[2]
        objects = tuple(replace(obj, place=place, size="small") for obj, place in zip(objects, layout, strict=True))
    background = _background(state, slots)
    values = phrases.background_values(state, background)
    for obj, number in zip(objects, numbers, strict=True):
        values |= _object_values(state, obj, number)
    return SceneSpec(objects, background), values


def _object(state: PhrasedState, slots: Sequence[str], number: str) -> ObjectSpec:
    """Sample an object with any value for the attributes that have a slot."""
    obj = sample_object_with(state, [name for slot, name in _ATTRIBUTES.items() if slot + number in slots])
    return _colored(state, obj) if "color" + number in slots else obj


def _colored(state: PhrasedState, obj: ObjectSpec) -> ObjectSpec:
    """Return ``obj`` in a color that is not its own, if it has none."""
    own = OBJECTS[obj.object].color
    return obj if obj.tint != "natural" else replace(obj, tint=state.choice([t for t in TINTS[1:] if t != own]))


def _object_values(state: PhrasedState, obj: ObjectSpec, number: str) -> dict[str, str]:
    plain = replace(obj, tint="natural")
    values = {
        "thing": phrases.object_phrase(state, plain, may_color=False),
        "noun": phrases.bare_noun(state, obj.object),
        "color": phrases.color_word(state, obj.tint),
        "size": phrases.size_word(state, obj.size),
        "place": phrases.place_phrase(state, obj.place),
    }
    return {name + number: value for name, value in values.items()}


def _background(state: PhrasedState, slots: Sequence[str]) -> str:
    return state.choice(BACKGROUNDS) if _BACKGROUND_SLOTS & set(slots) else "white"


def _sample_audio(state: PhrasedState, slots: Sequence[str]) -> _Sampled:
    source = state.choice([source for source in SOURCES if source not in WORD_SOURCES])
    # A speed alone means that a sound is repeated.
    pattern = "repeated" if "speed" in slots else "single"
    if "pattern" in slots:
        pattern = state.choice([p for p in patterns_of(source) if p in TIMED_PATTERNS or "speed" not in slots])
    speed = state.choice(SPEEDS) if "speed" in slots else "slow"
    sound = SoundSpec(source, state.choice(PITCHES) if "pitch" in slots else "middle", pattern, speed)
    values = {
        "source": phrases.source_noun_phrase(state, source),
        "pitch": phrases.pitch_word(state, sound.pitch),
        "pattern": phrases.pattern_words(state, sound.pattern),
        "speed": phrases.speed_word(state, sound.speed),
    }
    return sound, values


def _sample_video(state: PhrasedState, slots: Sequence[str]) -> _Sampled:
    clip = sample_clip_with(state, ["tint"] if "color" in slots else [])
    obj = ObjectSpec(clip.object, clip.tint)
    obj = _colored(state, obj) if "color" in slots else obj
    clip = replace(clip, tint=obj.tint, background=_background(state, slots))
    ing, inf, third = phrases.motion_forms(state, clip.motion, clip.object)
    values = {
        **_object_values(state, obj, ""),
        **phrases.background_values(state, clip.background),
        "ing": ing,
        "inf": inf,
        "s": third,
    }
    return clip, values


_SAMPLERS: Mapping[str, Callable[[PhrasedState, Sequence[str]], _Sampled]] = {
    "image": _sample_image,
    "audio": _sample_audio,
    "video": _sample_video,
}
