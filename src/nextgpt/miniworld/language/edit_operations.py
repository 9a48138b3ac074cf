"""How single attributes of a content are changed by an edit: each gives the new content, or None where it cannot."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from nextgpt.miniworld.language.dialogue_state import DialogueState
from nextgpt.miniworld.language.lexicon import (
    PATTERN_FORMS,
    PLACE_FORMS,
    background_forms,
    indefinite,
    is_instrument,
    noun,
    source_phrase,
)
from nextgpt.miniworld.language.types import difference
from nextgpt.miniworld.objects import OBJECTS
from nextgpt.miniworld.specs import (
    BACKGROUNDS,
    MOTIONS,
    PITCHES,
    PLACES,
    SOURCES,
    TIMED_PATTERNS,
    TINTS,
    ClipSpec,
    MediaSpec,
    ObjectSpec,
    SceneSpec,
    SoundSpec,
    patterns_of,
)

OPPOSITES = {"left": "right", "up": "down", "grow": "shrink", "appear": "disappear"}
OPPOSITES |= {other: one for one, other in OPPOSITES.items()}
MOTION_VERBS = {"left": "move left", "right": "move right", "up": "move up", "down": "move down"}
_BACKGROUND_NOUNS = {"sea": "the sea", "sunset": "a sunset", "night": "a night sky"}


@dataclass(frozen=True)
class EditResult:
    """A content that was changed, and what stands in the braces of the phrasing."""

    spec: MediaSpec
    values: dict[str, str]


def _objects(content: MediaSpec) -> tuple[ObjectSpec, ...]:
    """What is seen; a video's object as if it were a picture's."""
    assert not isinstance(content, SoundSpec)
    if isinstance(content, ClipSpec):
        return (ObjectSpec(content.object, content.tint, size="small"),)
    return content.objects


def _pick_object(talk: DialogueState, content: MediaSpec) -> tuple[ObjectSpec, str] | None:
    """An object and the words for it: ``it`` where it is alone, else its name if that is enough."""
    things = _objects(content)
    if len(things) == 1:
        return things[0], talk.choice(("it", "it", f"the {noun(things[0].object)}"))
    names = [placed.object for placed in things]
    unique = [placed for placed in things if names.count(placed.object) == 1]
    if not unique:
        return None
    placed = talk.choice(unique)
    return placed, f"the {noun(placed.object)}"


def _replace_object(content: MediaSpec, old: ObjectSpec, new: ObjectSpec) -> MediaSpec:
    """``content`` with one object changed."""
    if isinstance(content, ClipSpec):
        return replace(content, object=new.object, tint=new.tint)
    assert isinstance(content, SceneSpec)
    return replace(content, objects=tuple(new if placed == old else placed for placed in content.objects))


def background(talk: DialogueState, content: MediaSpec) -> EditResult | None:
    """Another background."""
    assert not isinstance(content, SoundSpec)
    background = talk.choice(BACKGROUNDS)
    values = {
        "background": _BACKGROUND_NOUNS.get(background, background),
        "where": talk.choice(background_forms(background)),
        "it": "it" if len(_objects(content)) == 1 else "them",
    }
    return EditResult(replace(content, background=background), values)


def tint(talk: DialogueState, content: MediaSpec) -> EditResult | None:
    """Another colour of one object; its own colour is its natural one."""
    picked = _pick_object(talk, content)
    if picked is None:
        return None
    placed, it = picked
    color = talk.choice(TINTS[1:])
    tint = "natural" if color == OBJECTS[placed.object].color else color
    return EditResult(
        _replace_object(content, placed, replace(placed, tint=tint)), {"it": it, "color": color}
    )


def natural_tint(talk: DialogueState, content: MediaSpec) -> EditResult | None:
    """Back to the natural colour."""
    picked = _pick_object(talk, content)
    if picked is None:
        return None
    placed, it = picked
    return EditResult(_replace_object(content, placed, replace(placed, tint="natural")), {"it": it})


def object_by_name(talk: DialogueState, content: MediaSpec) -> EditResult | None:
    """Another kind of object, in the colour, place and size of the old one."""
    picked = _pick_object(talk, content)
    if picked is None:
        return None
    placed, it = picked
    name = talk.choice([kind.name for kind in OBJECTS.values() if kind.color != placed.tint])
    if any(name == other.object for other in _objects(content)):
        return None
    values = {"it": it, "old": noun(placed.object), "new": indefinite(noun(name))}
    return EditResult(_replace_object(content, placed, replace(placed, object=name)), values)


def only_object(talk: DialogueState, content: MediaSpec) -> EditResult | None:
    """Another kind of object, where there is only one, so that it needs no name."""
    return object_by_name(talk, content) if len(_objects(content)) == 1 else None


def _single_object(content: MediaSpec) -> ObjectSpec | None:
    """The only object of a picture, which alone can be moved and resized."""
    assert isinstance(content, SceneSpec)
    return content.objects[0] if len(content.objects) == 1 else None


def place(talk: DialogueState, content: MediaSpec) -> EditResult | None:
    """Another place of a single object."""
    placed = _single_object(content)
    if placed is None:
        return None
    place = talk.choice(PLACES)
    values = {
        "it": talk.choice(("it", f"the {noun(placed.object)}")),
        "to": f"to the {place}",
        "at": PLACE_FORMS[place][0],
    }
    return EditResult(_replace_object(content, placed, replace(placed, place=place)), values)


def place_and_tint(talk: DialogueState, content: MediaSpec) -> EditResult | None:
    """Another place and colour of a single object."""
    moved = place(talk, content)
    colored = tint(talk, moved.spec) if moved else None
    if moved is None or colored is None or len(difference(content, colored.spec)) < 2:
        return None
    return EditResult(colored.spec, moved.values | {"color": colored.values["color"]})


def size(value: str) -> Callable[[DialogueState, MediaSpec], EditResult | None]:
    """A change of a single object to a size."""

    def change(talk: DialogueState, content: MediaSpec) -> EditResult | None:
        placed = _single_object(content)
        if placed is None:
            return None
        values = {"it": talk.choice(("it", f"the {noun(placed.object)}"))}
        return EditResult(_replace_object(content, placed, replace(placed, size=value)), values)

    return change


def opposite(talk: DialogueState, content: MediaSpec) -> EditResult | None:
    """The opposite motion, where there is one."""
    assert isinstance(content, ClipSpec)
    if content.motion not in OPPOSITES:
        return None
    return EditResult(replace(content, motion=OPPOSITES[content.motion]), {})


def motion(talk: DialogueState, content: MediaSpec) -> EditResult | None:
    """Another motion."""
    assert isinstance(content, ClipSpec)
    motion = talk.choice(MOTIONS)
    it = talk.choice(("it", "it", f"the {noun(content.object)}"))
    return EditResult(replace(content, motion=motion), {"it": it, "move": MOTION_VERBS.get(motion, motion)})


def pitch_by(step: int) -> Callable[[DialogueState, MediaSpec], EditResult | None]:
    """A change of the pitch by steps, where there are so many."""

    def change(talk: DialogueState, content: MediaSpec) -> EditResult | None:
        assert isinstance(content, SoundSpec)
        position = PITCHES.index(content.pitch) + step
        return (
            EditResult(replace(content, pitch=PITCHES[position]), {})
            if 0 <= position < len(PITCHES)
            else None
        )

    return change


def pitch(talk: DialogueState, content: MediaSpec) -> EditResult | None:
    """Another pitch."""
    assert isinstance(content, SoundSpec)
    pitch = talk.choice(PITCHES)
    return EditResult(replace(content, pitch=pitch), {"pitch": pitch})


def source(talk: DialogueState, content: MediaSpec) -> EditResult | None:
    """Another source, if it can be heard in the same pattern."""
    assert isinstance(content, SoundSpec)
    source = talk.choice(SOURCES)
    if content.pattern not in patterns_of(source):
        return None
    sound = f"the sound of {source_phrase(source)}" if not is_instrument(source) else source_phrase(source)
    return EditResult(replace(content, source=source), {"new": sound})


def instrument(talk: DialogueState, content: MediaSpec) -> EditResult | None:
    """Another source that is an instrument."""
    edited = source(talk, content)
    is_playable = (
        edited is not None and isinstance(edited.spec, SoundSpec) and is_instrument(edited.spec.source)
    )
    return edited if is_playable else None


def pattern(talk: DialogueState, content: MediaSpec) -> EditResult | None:
    """Another pattern; the speed stays where the pattern has one."""
    assert isinstance(content, SoundSpec)
    pattern = talk.choice(patterns_of(content.source))
    speed = content.speed if pattern in TIMED_PATTERNS else "slow"
    values = {"pattern": talk.choice(PATTERN_FORMS[pattern])}
    return EditResult(replace(content, pattern=pattern, speed=speed), values)


def speed(value: str) -> Callable[[DialogueState, MediaSpec], EditResult | None]:
    """A change to a speed, of patterns of several notes."""

    def change(talk: DialogueState, content: MediaSpec) -> EditResult | None:
        assert isinstance(content, SoundSpec)
        return EditResult(replace(content, speed=value), {}) if content.pattern in TIMED_PATTERNS else None

    return change
