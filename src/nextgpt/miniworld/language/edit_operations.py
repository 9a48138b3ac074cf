"""Edit operations on specs: each returns the edited spec, or None if it does not apply."""

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
    """An edited spec and the values of the template's placeholders."""

    spec: MediaSpec
    values: dict[str, str]


def _objects(spec: MediaSpec) -> tuple[ObjectSpec, ...]:
    """Return the visible objects; a clip's object counts as a small one."""
    assert not isinstance(spec, SoundSpec)
    if isinstance(spec, ClipSpec):
        return (ObjectSpec(spec.object, spec.tint, size="small"),)
    return spec.objects


def _pick_object(state: DialogueState, spec: MediaSpec) -> tuple[ObjectSpec, str] | None:
    """Pick an object and a phrase for it: ``it`` if it is alone, otherwise its name if that is unique."""
    objects = _objects(spec)
    if len(objects) == 1:
        return objects[0], state.choice(("it", "it", f"the {noun(objects[0].object)}"))
    names = [obj.object for obj in objects]
    unique = [obj for obj in objects if names.count(obj.object) == 1]
    if not unique:
        return None
    obj = state.choice(unique)
    return obj, f"the {noun(obj.object)}"


def replace_object(spec: MediaSpec, old: ObjectSpec, new: ObjectSpec) -> MediaSpec:
    """Replace one object of ``spec``."""
    if isinstance(spec, ClipSpec):
        return replace(spec, object=new.object, tint=new.tint)
    assert isinstance(spec, SceneSpec)
    return replace(spec, objects=tuple(new if obj == old else obj for obj in spec.objects))


def background(state: DialogueState, spec: MediaSpec) -> EditResult | None:
    """Change the background."""
    assert not isinstance(spec, SoundSpec)
    background = state.choice(BACKGROUNDS)
    values = {
        "background": _BACKGROUND_NOUNS.get(background, background),
        "where": state.choice(background_forms(background)),
        "it": "it" if len(_objects(spec)) == 1 else "them",
    }
    return EditResult(replace(spec, background=background), values)


def tint(state: DialogueState, spec: MediaSpec) -> EditResult | None:
    """Change the color of one object; the object's own color becomes the natural tint."""
    selection = _pick_object(state, spec)
    if selection is None:
        return None
    obj, it = selection
    color = state.choice(TINTS[1:])
    tint = "natural" if color == OBJECTS[obj.object].color else color
    return EditResult(replace_object(spec, obj, replace(obj, tint=tint)), {"it": it, "color": color})


def natural_tint(state: DialogueState, spec: MediaSpec) -> EditResult | None:
    """Restore the natural color."""
    selection = _pick_object(state, spec)
    if selection is None:
        return None
    obj, it = selection
    return EditResult(replace_object(spec, obj, replace(obj, tint="natural")), {"it": it})


def object_by_name(state: DialogueState, spec: MediaSpec) -> EditResult | None:
    """Replace an object by another kind with the same color, place and size."""
    selection = _pick_object(state, spec)
    if selection is None:
        return None
    obj, it = selection
    name = state.choice([kind.name for kind in OBJECTS.values() if kind.color != obj.tint])
    if any(name == other.object for other in _objects(spec)):
        return None
    values = {"it": it, "old": noun(obj.object), "new": indefinite(noun(name))}
    return EditResult(replace_object(spec, obj, replace(obj, object=name)), values)


def only_object(state: DialogueState, spec: MediaSpec) -> EditResult | None:
    """Replace the only object, which needs no name."""
    return object_by_name(state, spec) if len(_objects(spec)) == 1 else None


def _single_object(spec: MediaSpec) -> ObjectSpec | None:
    """Return the only object of an image; others cannot be moved or resized."""
    assert isinstance(spec, SceneSpec)
    return spec.objects[0] if len(spec.objects) == 1 else None


def place(state: DialogueState, spec: MediaSpec) -> EditResult | None:
    """Move the only object."""
    obj = _single_object(spec)
    if obj is None:
        return None
    place = state.choice(PLACES)
    values = {
        "it": state.choice(("it", f"the {noun(obj.object)}")),
        "to": f"to the {place}",
        "at": PLACE_FORMS[place][0],
    }
    return EditResult(replace_object(spec, obj, replace(obj, place=place)), values)


def place_and_tint(state: DialogueState, spec: MediaSpec) -> EditResult | None:
    """Move and recolor the only object."""
    move = place(state, spec)
    recolor = tint(state, move.spec) if move else None
    if move is None or recolor is None or len(difference(spec, recolor.spec)) < 2:
        return None
    return EditResult(recolor.spec, move.values | {"color": recolor.values["color"]})


def size(value: str) -> Callable[[DialogueState, MediaSpec], EditResult | None]:
    """Return an operation that resizes the only object."""

    def change(state: DialogueState, spec: MediaSpec) -> EditResult | None:
        obj = _single_object(spec)
        if obj is None:
            return None
        values = {"it": state.choice(("it", f"the {noun(obj.object)}"))}
        return EditResult(replace_object(spec, obj, replace(obj, size=value)), values)

    return change


def opposite(state: DialogueState, spec: MediaSpec) -> EditResult | None:
    """Reverse the motion if it has an opposite."""
    assert isinstance(spec, ClipSpec)
    if spec.motion not in OPPOSITES:
        return None
    return EditResult(replace(spec, motion=OPPOSITES[spec.motion]), {})


def motion(state: DialogueState, spec: MediaSpec) -> EditResult | None:
    """Change the motion."""
    assert isinstance(spec, ClipSpec)
    motion = state.choice(MOTIONS)
    it = state.choice(("it", "it", f"the {noun(spec.object)}"))
    return EditResult(replace(spec, motion=motion), {"it": it, "move": MOTION_VERBS.get(motion, motion)})


def pitch_by(step: int) -> Callable[[DialogueState, MediaSpec], EditResult | None]:
    """Return an operation that shifts the pitch by ``step``, within range."""

    def change(state: DialogueState, spec: MediaSpec) -> EditResult | None:
        assert isinstance(spec, SoundSpec)
        position = PITCHES.index(spec.pitch) + step
        return EditResult(replace(spec, pitch=PITCHES[position]), {}) if 0 <= position < len(PITCHES) else None

    return change


def pitch(state: DialogueState, spec: MediaSpec) -> EditResult | None:
    """Change the pitch."""
    assert isinstance(spec, SoundSpec)
    pitch = state.choice(PITCHES)
    return EditResult(replace(spec, pitch=pitch), {"pitch": pitch})


def source(state: DialogueState, spec: MediaSpec) -> EditResult | None:
    """Change the source if it can play the same pattern."""
    assert isinstance(spec, SoundSpec)
    source = state.choice(SOURCES)
    if spec.pattern not in patterns_of(source):
        return None
    sound = f"the sound of {source_phrase(source)}" if not is_instrument(source) else source_phrase(source)
    return EditResult(replace(spec, source=source), {"new": sound})


def instrument(state: DialogueState, spec: MediaSpec) -> EditResult | None:
    """Change the source to an instrument."""
    result = source(state, spec)
    is_playable = result is not None and isinstance(result.spec, SoundSpec) and is_instrument(result.spec.source)
    return result if is_playable else None


def pattern(state: DialogueState, spec: MediaSpec) -> EditResult | None:
    """Change the pattern; keep the speed if the pattern has one."""
    assert isinstance(spec, SoundSpec)
    pattern = state.choice(patterns_of(spec.source))
    speed = spec.speed if pattern in TIMED_PATTERNS else "slow"
    values = {"pattern": state.choice(PATTERN_FORMS[pattern])}
    return EditResult(replace(spec, pattern=pattern, speed=speed), values)


def speed(value: str) -> Callable[[DialogueState, MediaSpec], EditResult | None]:
    """Return an operation that sets the speed of a pattern of several notes."""

    def change(state: DialogueState, spec: MediaSpec) -> EditResult | None:
        assert isinstance(spec, SoundSpec)
        return EditResult(replace(spec, speed=value), {}) if spec.pattern in TIMED_PATTERNS else None

    return change
