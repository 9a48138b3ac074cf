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


def _single(content: MediaSpec) -> ObjectSpec | None:
    """The only object of a picture or a video."""
    if isinstance(content, ClipSpec):
        return ObjectSpec(content.object, content.tint)
    return content.objects[0] if isinstance(content, SceneSpec) and len(content.objects) == 1 else None


def _unique(talk: DialogueState, content: MediaSpec) -> ObjectSpec | None:
    """An object that is the only one of its kind, so that its name is enough."""
    if not isinstance(content, SceneSpec):
        return _single(content)
    shown = [placed.object for placed in content.objects]
    unique = [placed for placed in content.objects if shown.count(placed.object) == 1]
    return talk.choice(unique) if unique else None


def _other_object(talk: DialogueState, content: MediaSpec) -> str:
    shown = (
        {placed.object for placed in content.objects} if isinstance(content, SceneSpec) else {content.object}
    )
    return talk.choice([name for name in OBJECTS if name not in shown])


def what_object(talk: DialogueState, content: MediaSpec) -> QuestionAnswer | None:
    """Which object it is, where there is only one."""
    placed = _single(content)
    if placed is None:
        return None
    return QuestionAnswer(f"It is {indefinite(noun(placed.object))}.", (object_names(placed.object),))


def is_object(talk: DialogueState, content: MediaSpec) -> QuestionAnswer | None:
    """Whether it is a certain object."""
    placed = _single(content)
    if placed is None:
        return None
    asked = placed.object if talk.bernoulli(0.5) else _other_object(talk, content)
    is_so = asked == placed.object
    answer = f"{yes_or_no(is_so)}, it is {indefinite(noun(placed.object))}."
    return QuestionAnswer(
        answer, ((yes_or_no(is_so),), object_names(placed.object)), {"thing": indefinite(noun(asked))}
    )


def which_objects(talk: DialogueState, content: MediaSpec) -> QuestionAnswer | None:
    """All objects, where there are several."""
    assert isinstance(content, SceneSpec)
    if len(content.objects) == 1:
        return None
    shown = [placed.object for placed in content.objects]
    groups = [counted(shown.count(name), name) for name in dict.fromkeys(shown)]
    return QuestionAnswer(
        f"I see {listed(groups)}.", tuple(object_names(name) for name in dict.fromkeys(shown))
    )


def where_is(talk: DialogueState, content: MediaSpec) -> QuestionAnswer | None:
    """The place of an object."""
    placed = _unique(talk, content)
    if placed is None:
        return None
    place = PLACE_FORMS[placed.place][0]
    return QuestionAnswer(
        f"The {noun(placed.object)} is {place}.", ((place,),), {"thing": noun(placed.object)}
    )


def what_is_at(talk: DialogueState, content: MediaSpec) -> QuestionAnswer | None:
    """The object at a place."""
    assert isinstance(content, SceneSpec)
    placed = talk.choice(content.objects)
    thing, place = object_phrase(placed.object, placed.tint), PLACE_FORMS[placed.place][0]
    answer = f"{indefinite(thing)} is {place}."
    return QuestionAnswer(answer[0].upper() + answer[1:], (object_names(placed.object),), {"place": place})


def how_many(talk: DialogueState, content: MediaSpec) -> QuestionAnswer | None:
    """The number of objects."""
    assert isinstance(content, SceneSpec)
    number = len(content.objects)
    things = f"{NUMBERS[number]} object{'s' if number > 1 else ''}"
    return QuestionAnswer(f"There {_are(number)} {things}.", ((NUMBERS[number], str(number)),))


def how_many_of(talk: DialogueState, content: MediaSpec) -> QuestionAnswer | None:
    """The number of objects of one kind, which may be none."""
    assert isinstance(content, SceneSpec)
    name = _other_object(talk, content) if talk.bernoulli(0.2) else talk.choice(content.objects).object
    number = [placed.object for placed in content.objects].count(name)
    key_words = (NUMBERS[number], "zero" if number == 0 else str(number))
    return QuestionAnswer(
        f"There {_are(number)} {counted(number, name)}.", (key_words,), {"things": plural(name)}
    )


def _are(number: int) -> str:
    return "is" if number == 1 else "are"


def which_color(talk: DialogueState, content: MediaSpec) -> QuestionAnswer | None:
    """The colour of an object, its natural one included."""
    placed = _unique(talk, content)
    if placed is None:
        return None
    own = OBJECTS[placed.object].color
    if placed.tint == "natural" and own is None:
        answer, key_words = f"The {noun(placed.object)} has its natural color.", ("natural",)
    else:
        color = own if placed.tint == "natural" and own else placed.tint
        answer, key_words = f"The {noun(placed.object)} is {color}.", (color,)
    return QuestionAnswer(answer, (key_words,), {"thing": noun(placed.object)})


def which_background(talk: DialogueState, content: MediaSpec) -> QuestionAnswer | None:
    """The background."""
    assert not isinstance(content, SoundSpec)
    placed = _single(content)
    values = {"thing": noun(placed.object) if placed else "objects"}
    return QuestionAnswer(f"The background is {content.background}.", ((content.background,),), values)


def how_big(talk: DialogueState, content: MediaSpec) -> QuestionAnswer | None:
    """The size of a single object."""
    placed = _single(content)
    if placed is None:
        return None
    return QuestionAnswer(
        f"The {noun(placed.object)} is {placed.size}.", ((placed.size,),), {"thing": noun(placed.object)}
    )


def is_there(talk: DialogueState, content: MediaSpec) -> QuestionAnswer | None:
    """Whether a picture shows a kind of object."""
    assert isinstance(content, SceneSpec)
    if talk.bernoulli(0.5):
        name = talk.choice(content.objects).object
        there = indefinite(noun(name))
        return QuestionAnswer(f"Yes, there is {there}.", (("yes",),), {"thing": there})
    name = _other_object(talk, content)
    return QuestionAnswer(f"No, there is no {noun(name)}.", (("no",),), {"thing": indefinite(noun(name))})


def is_colored(talk: DialogueState, content: MediaSpec) -> QuestionAnswer | None:
    """Whether an object has a certain colour."""
    placed = _unique(talk, content)
    if placed is None or placed.tint == "natural":
        return None
    asked = (
        placed.tint
        if talk.bernoulli(0.5)
        else talk.choice([tint for tint in TINTS[1:] if tint != placed.tint])
    )
    answer = f"{yes_or_no(asked == placed.tint)}, the {noun(placed.object)} is {placed.tint}."
    key_words = ((yes_or_no(asked == placed.tint),), (placed.tint,))
    article, _ = indefinite(asked).split()
    return QuestionAnswer(answer, key_words, {"thing": noun(placed.object), "color": asked, "a": article})


def which_motion(talk: DialogueState, content: MediaSpec) -> QuestionAnswer | None:
    """What the object of a video does."""
    assert isinstance(content, ClipSpec)
    motion = MOTION_FORMS[content.motion][0]
    return QuestionAnswer(
        f"The {noun(content.object)} is {motion}.", ((motion,),), {"thing": noun(content.object)}
    )


def which_way(talk: DialogueState, content: MediaSpec) -> QuestionAnswer | None:
    """The direction, where the object travels."""
    assert isinstance(content, ClipSpec)
    return which_motion(talk, content) if content.motion in ("left", "right", "up", "down") else None


def is_moving(talk: DialogueState, content: MediaSpec) -> QuestionAnswer | None:
    """Whether the object of a video does a certain thing."""
    assert isinstance(content, ClipSpec)
    asked = (
        content.motion if talk.bernoulli(0.5) else talk.choice([m for m in MOTIONS if m != content.motion])
    )
    is_so, motion = asked == content.motion, MOTION_FORMS[content.motion][0]
    answer = f"{yes_or_no(is_so)}, the {noun(content.object)} is {motion}."
    values = {"thing": noun(content.object), "motion": MOTION_FORMS[asked][0]}
    return QuestionAnswer(answer, ((yes_or_no(is_so),), (motion,)), values)


def is_category(talk: DialogueState, content: MediaSpec) -> QuestionAnswer | None:
    """Whether the object is an animal, a vehicle and so on."""
    placed = _single(content)
    if placed is None:
        return None
    category = OBJECTS[placed.object].category
    asked = category if talk.bernoulli(0.5) else talk.choice([c for c in CERTAIN_CATEGORIES if c != category])
    if category not in CERTAIN_CATEGORIES:
        return None
    answer = f"{yes_or_no(asked == category)}, it is {indefinite(noun(placed.object))}."
    return QuestionAnswer(
        answer,
        ((yes_or_no(asked == category),), object_names(placed.object)),
        {"category": CATEGORY_PHRASES[asked]},
    )
