"""Questions about what is seen, in pictures and videos: each gives its answer, or None where none is certain."""

from __future__ import annotations

from nextgpt.miniworld.language.asking import Asked, names, yes
from nextgpt.miniworld.language.descriptions import counted, kind_phrase
from nextgpt.miniworld.language.talk import Talk
from nextgpt.miniworld.language.wording import (
    ASKED_CATEGORIES,
    CATEGORY_PHRASES,
    MOTION_FORMS,
    NUMBERS,
    PLACE_FORMS,
    indefinite,
    listed,
    noun,
    plural,
)
from nextgpt.miniworld.objects import OBJECTS
from nextgpt.miniworld.scene import MOTIONS, TINTS, Clip, Content, Placed, Scene, Sound


def _single(content: Content) -> Placed | None:
    """The only object of a picture or a video."""
    if isinstance(content, Clip):
        return Placed(content.object, content.tint)
    return content.objects[0] if isinstance(content, Scene) and len(content.objects) == 1 else None


def _unique(talk: Talk, content: Content) -> Placed | None:
    """An object that is the only one of its kind, so that its name is enough."""
    if not isinstance(content, Scene):
        return _single(content)
    shown = [placed.object for placed in content.objects]
    unique = [placed for placed in content.objects if shown.count(placed.object) == 1]
    return talk.choose(unique) if unique else None


def _other_object(talk: Talk, content: Content) -> str:
    shown = {placed.object for placed in content.objects} if isinstance(content, Scene) else {content.object}
    return talk.choose([name for name in OBJECTS if name not in shown])


def what(talk: Talk, content: Content) -> Asked | None:
    """Which object it is, where there is only one."""
    placed = _single(content)
    if placed is None:
        return None
    return Asked(f"It is {indefinite(noun(placed.object))}.", (names(placed.object),))


def is_object(talk: Talk, content: Content) -> Asked | None:
    """Whether it is a certain object."""
    placed = _single(content)
    if placed is None:
        return None
    asked = placed.object if talk.chance(0.5) else _other_object(talk, content)
    is_so = asked == placed.object
    answer = f"{yes(is_so)}, it is {indefinite(noun(placed.object))}."
    return Asked(answer, ((yes(is_so),), names(placed.object)), {"thing": indefinite(noun(asked))})


def which_objects(talk: Talk, content: Content) -> Asked | None:
    """All objects, where there are several."""
    assert isinstance(content, Scene)
    if len(content.objects) == 1:
        return None
    shown = [placed.object for placed in content.objects]
    groups = [counted(shown.count(name), name) for name in dict.fromkeys(shown)]
    return Asked(f"I see {listed(groups)}.", tuple(names(name) for name in dict.fromkeys(shown)))


def where(talk: Talk, content: Content) -> Asked | None:
    """The place of an object."""
    placed = _unique(talk, content)
    if placed is None:
        return None
    place = PLACE_FORMS[placed.place][0]
    return Asked(f"The {noun(placed.object)} is {place}.", ((place,),), {"thing": noun(placed.object)})


def what_is_at(talk: Talk, content: Content) -> Asked | None:
    """The object at a place."""
    assert isinstance(content, Scene)
    placed = talk.choose(content.objects)
    thing, place = kind_phrase(placed.object, placed.tint), PLACE_FORMS[placed.place][0]
    answer = f"{indefinite(thing)} is {place}."
    return Asked(answer[0].upper() + answer[1:], (names(placed.object),), {"place": place})


def how_many(talk: Talk, content: Content) -> Asked | None:
    """The number of objects."""
    assert isinstance(content, Scene)
    number = len(content.objects)
    things = f"{NUMBERS[number]} object{'s' if number > 1 else ''}"
    return Asked(f"There {_are(number)} {things}.", ((NUMBERS[number], str(number)),))


def how_many_of(talk: Talk, content: Content) -> Asked | None:
    """The number of objects of one kind, which may be none."""
    assert isinstance(content, Scene)
    name = _other_object(talk, content) if talk.chance(0.2) else talk.choose(content.objects).object
    number = [placed.object for placed in content.objects].count(name)
    key_words = (NUMBERS[number], "zero" if number == 0 else str(number))
    return Asked(f"There {_are(number)} {counted(number, name)}.", (key_words,), {"things": plural(name)})


def _are(number: int) -> str:
    return "is" if number == 1 else "are"


def which_color(talk: Talk, content: Content) -> Asked | None:
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
    return Asked(answer, (key_words,), {"thing": noun(placed.object)})


def which_background(talk: Talk, content: Content) -> Asked | None:
    """The background."""
    assert not isinstance(content, Sound)
    placed = _single(content)
    values = {"thing": noun(placed.object) if placed else "objects"}
    return Asked(f"The background is {content.background}.", ((content.background,),), values)


def how_big(talk: Talk, content: Content) -> Asked | None:
    """The size of a single object."""
    placed = _single(content)
    if placed is None:
        return None
    return Asked(
        f"The {noun(placed.object)} is {placed.size}.", ((placed.size,),), {"thing": noun(placed.object)}
    )


def is_there(talk: Talk, content: Content) -> Asked | None:
    """Whether a picture shows a kind of object."""
    assert isinstance(content, Scene)
    if talk.chance(0.5):
        name = talk.choose(content.objects).object
        there = indefinite(noun(name))
        return Asked(f"Yes, there is {there}.", (("yes",),), {"thing": there})
    name = _other_object(talk, content)
    return Asked(f"No, there is no {noun(name)}.", (("no",),), {"thing": indefinite(noun(name))})


def is_colored(talk: Talk, content: Content) -> Asked | None:
    """Whether an object has a certain colour."""
    placed = _unique(talk, content)
    if placed is None or placed.tint == "natural":
        return None
    asked = (
        placed.tint if talk.chance(0.5) else talk.choose([tint for tint in TINTS[1:] if tint != placed.tint])
    )
    answer = f"{yes(asked == placed.tint)}, the {noun(placed.object)} is {placed.tint}."
    key_words = ((yes(asked == placed.tint),), (placed.tint,))
    article, _ = indefinite(asked).split()
    return Asked(answer, key_words, {"thing": noun(placed.object), "color": asked, "a": article})


def which_motion(talk: Talk, content: Content) -> Asked | None:
    """What the object of a video does."""
    assert isinstance(content, Clip)
    motion = MOTION_FORMS[content.motion][0]
    return Asked(f"The {noun(content.object)} is {motion}.", ((motion,),), {"thing": noun(content.object)})


def which_way(talk: Talk, content: Content) -> Asked | None:
    """The direction, where the object travels."""
    assert isinstance(content, Clip)
    return which_motion(talk, content) if content.motion in ("left", "right", "up", "down") else None


def is_moving(talk: Talk, content: Content) -> Asked | None:
    """Whether the object of a video does a certain thing."""
    assert isinstance(content, Clip)
    asked = content.motion if talk.chance(0.5) else talk.choose([m for m in MOTIONS if m != content.motion])
    is_so, motion = asked == content.motion, MOTION_FORMS[content.motion][0]
    answer = f"{yes(is_so)}, the {noun(content.object)} is {motion}."
    values = {"thing": noun(content.object), "motion": MOTION_FORMS[asked][0]}
    return Asked(answer, ((yes(is_so),), (motion,)), values)


def is_category(talk: Talk, content: Content) -> Asked | None:
    """Whether the object is an animal, a vehicle and so on."""
    placed = _single(content)
    if placed is None:
        return None
    category = OBJECTS[placed.object].category
    asked = category if talk.chance(0.5) else talk.choose([c for c in ASKED_CATEGORIES if c != category])
    if category not in ASKED_CATEGORIES:
        return None
    answer = f"{yes(asked == category)}, it is {indefinite(noun(placed.object))}."
    return Asked(
        answer, ((yes(asked == category),), names(placed.object)), {"category": CATEGORY_PHRASES[asked]}
    )
