"""How single attributes of a content are changed by an edit: each gives the new content, or None where it cannot."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from nextgpt.miniworld.language.dialogue import difference
from nextgpt.miniworld.language.talk import Talk
from nextgpt.miniworld.language.wording import (
    PATTERN_FORMS,
    PLACE_FORMS,
    background_forms,
    indefinite,
    is_instrument,
    noun,
    source_phrase,
)
from nextgpt.miniworld.objects import OBJECTS
from nextgpt.miniworld.scene import (
    BACKGROUNDS,
    MOTIONS,
    PITCHES,
    PLACES,
    SOURCES,
    TIMED_PATTERNS,
    TINTS,
    Clip,
    Content,
    Placed,
    Scene,
    Sound,
    patterns_of,
)

OPPOSITES = {"left": "right", "up": "down", "grow": "shrink", "appear": "disappear"}
OPPOSITES |= {other: one for one, other in OPPOSITES.items()}
MOTION_VERBS = {"left": "move left", "right": "move right", "up": "move up", "down": "move down"}
_BACKGROUND_NOUNS = {"sea": "the sea", "sunset": "a sunset", "night": "a night sky"}


@dataclass(frozen=True)
class Edited:
    """A content that was changed, and what stands in the braces of the phrasing."""

    content: Content
    values: dict[str, str]


def _things(content: Content) -> tuple[Placed, ...]:
    """What is seen; a video's object as if it were a picture's."""
    assert not isinstance(content, Sound)
    if isinstance(content, Clip):
        return (Placed(content.object, content.tint, size="small"),)
    return content.objects


def _pick(talk: Talk, content: Content) -> tuple[Placed, str] | None:
    """An object and the words for it: ``it`` where it is alone, else its name if that is enough."""
    things = _things(content)
    if len(things) == 1:
        return things[0], talk.choose(("it", "it", f"the {noun(things[0].object)}"))
    names = [placed.object for placed in things]
    unique = [placed for placed in things if names.count(placed.object) == 1]
    if not unique:
        return None
    placed = talk.choose(unique)
    return placed, f"the {noun(placed.object)}"


def _with(content: Content, old: Placed, new: Placed) -> Content:
    """``content`` with one object changed."""
    if isinstance(content, Clip):
        return replace(content, object=new.object, tint=new.tint)
    assert isinstance(content, Scene)
    return replace(content, objects=tuple(new if placed == old else placed for placed in content.objects))


def background(talk: Talk, content: Content) -> Edited | None:
    """Another background."""
    assert not isinstance(content, Sound)
    background = talk.choose(BACKGROUNDS)
    values = {
        "background": _BACKGROUND_NOUNS.get(background, background),
        "where": talk.choose(background_forms(background)),
        "it": "it" if len(_things(content)) == 1 else "them",
    }
    return Edited(replace(content, background=background), values)


def tint(talk: Talk, content: Content) -> Edited | None:
    """Another colour of one object; its own colour is its natural one."""
    picked = _pick(talk, content)
    if picked is None:
        return None
    placed, it = picked
    color = talk.choose(TINTS[1:])
    tint = "natural" if color == OBJECTS[placed.object].color else color
    return Edited(_with(content, placed, replace(placed, tint=tint)), {"it": it, "color": color})


def natural_tint(talk: Talk, content: Content) -> Edited | None:
    """Back to the natural colour."""
    picked = _pick(talk, content)
    if picked is None:
        return None
    placed, it = picked
    return Edited(_with(content, placed, replace(placed, tint="natural")), {"it": it})


def object_by_name(talk: Talk, content: Content) -> Edited | None:
    """Another kind of object, in the colour, place and size of the old one."""
    picked = _pick(talk, content)
    if picked is None:
        return None
    placed, it = picked
    name = talk.choose([kind.name for kind in OBJECTS.values() if kind.color != placed.tint])
    if any(name == other.object for other in _things(content)):
        return None
    values = {"it": it, "old": noun(placed.object), "new": indefinite(noun(name))}
    return Edited(_with(content, placed, replace(placed, object=name)), values)


def only_object(talk: Talk, content: Content) -> Edited | None:
    """Another kind of object, where there is only one, so that it needs no name."""
    return object_by_name(talk, content) if len(_things(content)) == 1 else None


def _alone(content: Content) -> Placed | None:
    """The only object of a picture, which alone can be moved and resized."""
    assert isinstance(content, Scene)
    return content.objects[0] if len(content.objects) == 1 else None


def place(talk: Talk, content: Content) -> Edited | None:
    """Another place of a single object."""
    placed = _alone(content)
    if placed is None:
        return None
    place = talk.choose(PLACES)
    values = {
        "it": talk.choose(("it", f"the {noun(placed.object)}")),
        "to": f"to the {place}",
        "at": PLACE_FORMS[place][0],
    }
    return Edited(_with(content, placed, replace(placed, place=place)), values)


def place_and_tint(talk: Talk, content: Content) -> Edited | None:
    """Another place and colour of a single object."""
    moved = place(talk, content)
    colored = tint(talk, moved.content) if moved else None
    if moved is None or colored is None or len(difference(content, colored.content)) < 2:
        return None
    return Edited(colored.content, moved.values | {"color": colored.values["color"]})


def size(value: str) -> Callable[[Talk, Content], Edited | None]:
    """A change of a single object to a size."""

    def change(talk: Talk, content: Content) -> Edited | None:
        placed = _alone(content)
        if placed is None:
            return None
        values = {"it": talk.choose(("it", f"the {noun(placed.object)}"))}
        return Edited(_with(content, placed, replace(placed, size=value)), values)

    return change


def opposite(talk: Talk, content: Content) -> Edited | None:
    """The opposite motion, where there is one."""
    assert isinstance(content, Clip)
    if content.motion not in OPPOSITES:
        return None
    return Edited(replace(content, motion=OPPOSITES[content.motion]), {})


def motion(talk: Talk, content: Content) -> Edited | None:
    """Another motion."""
    assert isinstance(content, Clip)
    motion = talk.choose(MOTIONS)
    it = talk.choose(("it", "it", f"the {noun(content.object)}"))
    return Edited(replace(content, motion=motion), {"it": it, "move": MOTION_VERBS.get(motion, motion)})


def pitch_by(step: int) -> Callable[[Talk, Content], Edited | None]:
    """A change of the pitch by steps, where there are so many."""

    def change(talk: Talk, content: Content) -> Edited | None:
        assert isinstance(content, Sound)
        position = PITCHES.index(content.pitch) + step
        return Edited(replace(content, pitch=PITCHES[position]), {}) if 0 <= position < len(PITCHES) else None

    return change


def pitch(talk: Talk, content: Content) -> Edited | None:
    """Another pitch."""
    assert isinstance(content, Sound)
    pitch = talk.choose(PITCHES)
    return Edited(replace(content, pitch=pitch), {"pitch": pitch})


def source(talk: Talk, content: Content) -> Edited | None:
    """Another source, if it can be heard in the same pattern."""
    assert isinstance(content, Sound)
    source = talk.choose(SOURCES)
    if content.pattern not in patterns_of(source):
        return None
    sound = f"the sound of {source_phrase(source)}" if not is_instrument(source) else source_phrase(source)
    return Edited(replace(content, source=source), {"new": sound})


def instrument(talk: Talk, content: Content) -> Edited | None:
    """Another source that is an instrument."""
    edited = source(talk, content)
    is_playable = (
        edited is not None and isinstance(edited.content, Sound) and is_instrument(edited.content.source)
    )
    return edited if is_playable else None


def pattern(talk: Talk, content: Content) -> Edited | None:
    """Another pattern; the speed stays where the pattern has one."""
    assert isinstance(content, Sound)
    pattern = talk.choose(patterns_of(content.source))
    speed = content.speed if pattern in TIMED_PATTERNS else "slow"
    values = {"pattern": talk.choose(PATTERN_FORMS[pattern])}
    return Edited(replace(content, pattern=pattern, speed=speed), values)


def speed(value: str) -> Callable[[Talk, Content], Edited | None]:
    """A change to a speed, of patterns of several notes."""

    def change(talk: Talk, content: Content) -> Edited | None:
        assert isinstance(content, Sound)
        return Edited(replace(content, speed=value), {}) if content.pattern in TIMED_PATTERNS else None

    return change
