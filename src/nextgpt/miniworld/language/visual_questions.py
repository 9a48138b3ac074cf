"""Questions about images and videos: each function computes the answer, or None if it is ambiguous."""

from __future__ import annotations

from nextgpt.miniworld.language.descriptions import counted, object_phrase
from nextgpt.miniworld.language.dialogue_state import DialogueState
from nextgpt.miniworld.language.lexicon import (
    CATEGORY_PHRASES,
    CERTAIN_CATEGORIES,
    MOTION_FORMS,
    NUMBERS,
    PLACE_FORMS,
    indefinite,
    listed,
    noun,
    object_names,
    plural,
    yes_or_no,
)
from nextgpt.miniworld.language.types import QuestionAnswer
from nextgpt.miniworld.objects import OBJECTS
from nextgpt.miniworld.specs import MOTIONS, TINTS, ClipSpec, MediaSpec, ObjectSpec, SceneSpec, SoundSpec


def only_object(spec: MediaSpec) -> ObjectSpec | None:
    """Return the only object of an image or a video."""
    if isinstance(spec, ClipSpec):
        return ObjectSpec(spec.object, spec.tint)
    return spec.objects[0] if isinstance(spec, SceneSpec) and len(spec.objects) == 1 else None


def unique_object(state: DialogueState, spec: MediaSpec) -> ObjectSpec | None:
    """Pick an object that is the only one of its kind, so that its name identifies it."""
    if not isinstance(spec, SceneSpec):
        return only_object(spec)
    kinds = [obj.object for obj in spec.objects]
    unique = [obj for obj in spec.objects if kinds.count(obj.object) == 1]
    return state.choice(unique) if unique else None


def other_object(state: DialogueState, spec: MediaSpec) -> str:
    kinds = {obj.object for obj in spec.objects} if isinstance(spec, SceneSpec) else {spec.object}
    return state.choice([name for name in OBJECTS if name not in kinds])


def what_object(state: DialogueState, spec: MediaSpec) -> QuestionAnswer | None:
    """Name the only object."""
    obj = only_object(spec)
    if obj is None:
        return None
    return QuestionAnswer(f"It is {indefinite(noun(obj.object))}.", (object_names(obj.object),))


def is_object(state: DialogueState, spec: MediaSpec) -> QuestionAnswer | None:
    """Confirm or deny the kind of the only object."""
    obj = only_object(spec)
    if obj is None:
        return None
    candidate = obj.object if state.bernoulli(0.5) else other_object(state, spec)
    is_match = candidate == obj.object
    answer = f"{yes_or_no(is_match)}, it is {indefinite(noun(obj.object))}."
    return QuestionAnswer(
        answer, ((yes_or_no(is_match),), object_names(obj.object)), {"thing": indefinite(noun(candidate))}
    )


def which_objects(state: DialogueState, spec: MediaSpec) -> QuestionAnswer | None:
    """List all objects, if there are several."""
    assert isinstance(spec, SceneSpec)
    if len(spec.objects) == 1:
        return None
    kinds = [obj.object for obj in spec.objects]
    groups = [counted(kinds.count(name), name) for name in dict.fromkeys(kinds)]
    return QuestionAnswer(f"I see {listed(groups)}.", tuple(object_names(name) for name in dict.fromkeys(kinds)))


def where_is(state: DialogueState, spec: MediaSpec) -> QuestionAnswer | None:
    """Name the place of an object."""
    obj = unique_object(state, spec)
    if obj is None:
        return None
    place = PLACE_FORMS[obj.place][0]
    return QuestionAnswer(f"The {noun(obj.object)} is {place}.", ((place,),), {"thing": noun(obj.object)})


def what_is_at(state: DialogueState, spec: MediaSpec) -> QuestionAnswer | None:
    """Name the object at a place."""
    assert isinstance(spec, SceneSpec)
    obj = state.choice(spec.objects)
    thing, place = object_phrase(obj.object, obj.tint), PLACE_FORMS[obj.place][0]
    answer = f"{indefinite(thing)} is {place}."
    return QuestionAnswer(answer[0].upper() + answer[1:], (object_names(obj.object),), {"place": place})


def how_many(state: DialogueState, spec: MediaSpec) -> QuestionAnswer | None:
    """Count all objects."""
    assert isinstance(spec, SceneSpec)
    number = len(spec.objects)
    things = f"{NUMBERS[number]} object{'s' if number > 1 else ''}"
    return QuestionAnswer(f"There {_are(number)} {things}.", ((NUMBERS[number], str(number)),))


def how_many_of(state: DialogueState, spec: MediaSpec) -> QuestionAnswer | None:
    """Count the objects of one kind, possibly zero."""
    assert isinstance(spec, SceneSpec)
    name = other_object(state, spec) if state.bernoulli(0.2) else state.choice(spec.objects).object
    number = [obj.object for obj in spec.objects].count(name)
    key_words = (NUMBERS[number], "zero" if number == 0 else str(number))
    return QuestionAnswer(f"There {_are(number)} {counted(number, name)}.", (key_words,), {"things": plural(name)})


def _are(number: int) -> str:
    return "is" if number == 1 else "are"


def which_color(state: DialogueState, spec: MediaSpec) -> QuestionAnswer | None:
    """Name the color of an object, which may be its natural one."""
    obj = unique_object(state, spec)
    if obj is None:
        return None
    own = OBJECTS[obj.object].color
    if obj.tint == "natural" and own is None:
        answer, key_words = f"The {noun(obj.object)} has its natural color.", ("natural",)
    else:
        color = own if obj.tint == "natural" and own else obj.tint
        answer, key_words = f"The {noun(obj.object)} is {color}.", (color,)
    return QuestionAnswer(answer, (key_words,), {"thing": noun(obj.object)})


def which_background(state: DialogueState, spec: MediaSpec) -> QuestionAnswer | None:
    """Name the background."""
    assert not isinstance(spec, SoundSpec)
    obj = only_object(spec)
    values = {"thing": noun(obj.object) if obj else "objects"}
    return QuestionAnswer(f"The background is {spec.background}.", ((spec.background,),), values)


def how_big(state: DialogueState, spec: MediaSpec) -> QuestionAnswer | None:
    """Name the size of the only object."""
    obj = only_object(spec)
    if obj is None:
        return None
    return QuestionAnswer(f"The {noun(obj.object)} is {obj.size}.", ((obj.size,),), {"thing": noun(obj.object)})


def is_there(state: DialogueState, spec: MediaSpec) -> QuestionAnswer | None:
    """Confirm or deny that an image contains a kind of object."""
    assert isinstance(spec, SceneSpec)
    if state.bernoulli(0.5):
        name = state.choice(spec.objects).object
        there = indefinite(noun(name))
        return QuestionAnswer(f"Yes, there is {there}.", (("yes",),), {"thing": there})
    name = other_object(state, spec)
    return QuestionAnswer(f"No, there is no {noun(name)}.", (("no",),), {"thing": indefinite(noun(name))})


def is_colored(state: DialogueState, spec: MediaSpec) -> QuestionAnswer | None:
    """Confirm or deny the color of an object."""
    obj = unique_object(state, spec)
    if obj is None or obj.tint == "natural":
        return None
    candidate = obj.tint if state.bernoulli(0.5) else state.choice([tint for tint in TINTS[1:] if tint != obj.tint])
    answer = f"{yes_or_no(candidate == obj.tint)}, the {noun(obj.object)} is {obj.tint}."
    key_words = ((yes_or_no(candidate == obj.tint),), (obj.tint,))
    article, _ = indefinite(candidate).split()
    return QuestionAnswer(answer, key_words, {"thing": noun(obj.object), "color": candidate, "a": article})


def which_motion(state: DialogueState, spec: MediaSpec) -> QuestionAnswer | None:
    """Name the motion of a video."""
    assert isinstance(spec, ClipSpec)
    motion = MOTION_FORMS[spec.motion][0]
    return QuestionAnswer(f"The {noun(spec.object)} is {motion}.", ((motion,),), {"thing": noun(spec.object)})


def which_way(state: DialogueState, spec: MediaSpec) -> QuestionAnswer | None:
    """Name the direction, if the object travels."""
    assert isinstance(spec, ClipSpec)
    return which_motion(state, spec) if spec.motion in ("left", "right", "up", "down") else None


def is_moving(state: DialogueState, spec: MediaSpec) -> QuestionAnswer | None:
    """Confirm or deny a motion."""
    assert isinstance(spec, ClipSpec)
    candidate = spec.motion if state.bernoulli(0.5) else state.choice([m for m in MOTIONS if m != spec.motion])
    is_match, motion = candidate == spec.motion, MOTION_FORMS[spec.motion][0]
    answer = f"{yes_or_no(is_match)}, the {noun(spec.object)} is {motion}."
    values = {"thing": noun(spec.object), "motion": MOTION_FORMS[candidate][0]}
    return QuestionAnswer(answer, ((yes_or_no(is_match),), (motion,)), values)


def is_category(state: DialogueState, spec: MediaSpec) -> QuestionAnswer | None:
    """Confirm or deny the category of an object."""
    obj = only_object(spec)
    if obj is None:
        return None
    category = OBJECTS[obj.object].category
    candidate = category if state.bernoulli(0.5) else state.choice([c for c in CERTAIN_CATEGORIES if c != category])
    if category not in CERTAIN_CATEGORIES:
        return None
    answer = f"{yes_or_no(candidate == category)}, it is {indefinite(noun(obj.object))}."
    return QuestionAnswer(
        answer,
        ((yes_or_no(candidate == category),), object_names(obj.object)),
        {"category": CATEGORY_PHRASES[candidate]},
    )
