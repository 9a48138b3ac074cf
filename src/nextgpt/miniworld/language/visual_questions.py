"""Questions about what is seen, in pictures and videos: each gives its answer, or None where none is certain."""

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


def _single(spec: MediaSpec) -> ObjectSpec | None:
    """The only object of a picture or a video."""
    if isinstance(spec, ClipSpec):
        return ObjectSpec(spec.object, spec.tint)
    return spec.objects[0] if isinstance(spec, SceneSpec) and len(spec.objects) == 1 else None


def _unique(state: DialogueState, spec: MediaSpec) -> ObjectSpec | None:
    """An object that is the only one of its kind, so that its name is enough."""
    if not isinstance(spec, SceneSpec):
        return _single(spec)
    shown = [obj.object for obj in spec.objects]
    unique = [obj for obj in spec.objects if shown.count(obj.object) == 1]
    return state.choice(unique) if unique else None


def _other_object(state: DialogueState, spec: MediaSpec) -> str:
    shown = {obj.object for obj in spec.objects} if isinstance(spec, SceneSpec) else {spec.object}
    return state.choice([name for name in OBJECTS if name not in shown])


def what_object(state: DialogueState, spec: MediaSpec) -> QuestionAnswer | None:
    """Which object it is, where there is only one."""
    obj = _single(spec)
    if obj is None:
        return None
    return QuestionAnswer(f"It is {indefinite(noun(obj.object))}.", (object_names(obj.object),))


def is_object(state: DialogueState, spec: MediaSpec) -> QuestionAnswer | None:
    """Whether it is a certain object."""
    obj = _single(spec)
    if obj is None:
        return None
    asked = obj.object if state.bernoulli(0.5) else _other_object(state, spec)
    is_so = asked == obj.object
    answer = f"{yes_or_no(is_so)}, it is {indefinite(noun(obj.object))}."
    return QuestionAnswer(
        answer, ((yes_or_no(is_so),), object_names(obj.object)), {"thing": indefinite(noun(asked))}
    )


def which_objects(state: DialogueState, spec: MediaSpec) -> QuestionAnswer | None:
    """All objects, where there are several."""
    assert isinstance(spec, SceneSpec)
    if len(spec.objects) == 1:
        return None
    shown = [obj.object for obj in spec.objects]
    groups = [counted(shown.count(name), name) for name in dict.fromkeys(shown)]
    return QuestionAnswer(
        f"I see {listed(groups)}.", tuple(object_names(name) for name in dict.fromkeys(shown))
    )


def where_is(state: DialogueState, spec: MediaSpec) -> QuestionAnswer | None:
    """The place of an object."""
    obj = _unique(state, spec)
    if obj is None:
        return None
    place = PLACE_FORMS[obj.place][0]
    return QuestionAnswer(f"The {noun(obj.object)} is {place}.", ((place,),), {"thing": noun(obj.object)})


def what_is_at(state: DialogueState, spec: MediaSpec) -> QuestionAnswer | None:
    """The object at a place."""
    assert isinstance(spec, SceneSpec)
    obj = state.choice(spec.objects)
    thing, place = object_phrase(obj.object, obj.tint), PLACE_FORMS[obj.place][0]
    answer = f"{indefinite(thing)} is {place}."
    return QuestionAnswer(answer[0].upper() + answer[1:], (object_names(obj.object),), {"place": place})


def how_many(state: DialogueState, spec: MediaSpec) -> QuestionAnswer | None:
    """The number of objects."""
    assert isinstance(spec, SceneSpec)
    number = len(spec.objects)
    things = f"{NUMBERS[number]} object{'s' if number > 1 else ''}"
    return QuestionAnswer(f"There {_are(number)} {things}.", ((NUMBERS[number], str(number)),))


def how_many_of(state: DialogueState, spec: MediaSpec) -> QuestionAnswer | None:
    """The number of objects of one kind, which may be none."""
    assert isinstance(spec, SceneSpec)
    name = _other_object(state, spec) if state.bernoulli(0.2) else state.choice(spec.objects).object
    number = [obj.object for obj in spec.objects].count(name)
    key_words = (NUMBERS[number], "zero" if number == 0 else str(number))
    return QuestionAnswer(
        f"There {_are(number)} {counted(number, name)}.", (key_words,), {"things": plural(name)}
    )


def _are(number: int) -> str:
    return "is" if number == 1 else "are"


def which_color(state: DialogueState, spec: MediaSpec) -> QuestionAnswer | None:
    """The colour of an object, its natural one included."""
    obj = _unique(state, spec)
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
    """The background."""
    assert not isinstance(spec, SoundSpec)
    obj = _single(spec)
    values = {"thing": noun(obj.object) if obj else "objects"}
    return QuestionAnswer(f"The background is {spec.background}.", ((spec.background,),), values)


def how_big(state: DialogueState, spec: MediaSpec) -> QuestionAnswer | None:
    """The size of a single object."""
    obj = _single(spec)
    if obj is None:
        return None
    return QuestionAnswer(
        f"The {noun(obj.object)} is {obj.size}.", ((obj.size,),), {"thing": noun(obj.object)}
    )


def is_there(state: DialogueState, spec: MediaSpec) -> QuestionAnswer | None:
    """Whether a picture shows a kind of object."""
    assert isinstance(spec, SceneSpec)
    if state.bernoulli(0.5):
        name = state.choice(spec.objects).object
        there = indefinite(noun(name))
        return QuestionAnswer(f"Yes, there is {there}.", (("yes",),), {"thing": there})
    name = _other_object(state, spec)
    return QuestionAnswer(f"No, there is no {noun(name)}.", (("no",),), {"thing": indefinite(noun(name))})


def is_colored(state: DialogueState, spec: MediaSpec) -> QuestionAnswer | None:
    """Whether an object has a certain colour."""
    obj = _unique(state, spec)
    if obj is None or obj.tint == "natural":
        return None
    asked = (
        obj.tint if state.bernoulli(0.5) else state.choice([tint for tint in TINTS[1:] if tint != obj.tint])
    )
    answer = f"{yes_or_no(asked == obj.tint)}, the {noun(obj.object)} is {obj.tint}."
    key_words = ((yes_or_no(asked == obj.tint),), (obj.tint,))
    article, _ = indefinite(asked).split()
    return QuestionAnswer(answer, key_words, {"thing": noun(obj.object), "color": asked, "a": article})


def which_motion(state: DialogueState, spec: MediaSpec) -> QuestionAnswer | None:
    """What the object of a video does."""
    assert isinstance(spec, ClipSpec)
    motion = MOTION_FORMS[spec.motion][0]
    return QuestionAnswer(f"The {noun(spec.object)} is {motion}.", ((motion,),), {"thing": noun(spec.object)})


def which_way(state: DialogueState, spec: MediaSpec) -> QuestionAnswer | None:
    """The direction, where the object travels."""
    assert isinstance(spec, ClipSpec)
    return which_motion(state, spec) if spec.motion in ("left", "right", "up", "down") else None


def is_moving(state: DialogueState, spec: MediaSpec) -> QuestionAnswer | None:
    """Whether the object of a video does a certain thing."""
    assert isinstance(spec, ClipSpec)
    asked = spec.motion if state.bernoulli(0.5) else state.choice([m for m in MOTIONS if m != spec.motion])
    is_so, motion = asked == spec.motion, MOTION_FORMS[spec.motion][0]
    answer = f"{yes_or_no(is_so)}, the {noun(spec.object)} is {motion}."
    values = {"thing": noun(spec.object), "motion": MOTION_FORMS[asked][0]}
    return QuestionAnswer(answer, ((yes_or_no(is_so),), (motion,)), values)


def is_category(state: DialogueState, spec: MediaSpec) -> QuestionAnswer | None:
    """Whether the object is an animal, a vehicle and so on."""
    obj = _single(spec)
    if obj is None:
        return None
    category = OBJECTS[obj.object].category
    asked = (
        category if state.bernoulli(0.5) else state.choice([c for c in CERTAIN_CATEGORIES if c != category])
    )
    if category not in CERTAIN_CATEGORIES:
        return None
    answer = f"{yes_or_no(asked == category)}, it is {indefinite(noun(obj.object))}."
    return QuestionAnswer(
        answer,
        ((yes_or_no(asked == category),), object_names(obj.object)),
        {"category": CATEGORY_PHRASES[asked]},
    )
