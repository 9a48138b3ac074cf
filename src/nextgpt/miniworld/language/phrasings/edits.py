"""Edits of a medium in an author's words; attributes that are not mentioned stay as they were."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from nextgpt.miniworld.language.edit_operations import OPPOSITES, replace_object
from nextgpt.miniworld.language.lexicon import NUMBERS
from nextgpt.miniworld.language.phrasings import noun_phrases as phrases
from nextgpt.miniworld.language.phrasings.filling import decapitalize
from nextgpt.miniworld.language.phrasings.requests import place_objects
from nextgpt.miniworld.language.phrasings.state import PhrasedState
from nextgpt.miniworld.language.request_specs import DEFAULT_LAYOUTS
from nextgpt.miniworld.language.types import DialogueTurn, difference
from nextgpt.miniworld.language.visual_questions import only_object, unique_object
from nextgpt.miniworld.objects import OBJECTS
from nextgpt.miniworld.sample_specs import LAYOUTS
from nextgpt.miniworld.specs import (
    BACKGROUNDS,
    MOTIONS,
    PITCHES,
    PLACES,
    SOURCES,
    TIMED_PATTERNS,
    TINTS,
    WORD_SOURCES,
    ClipSpec,
    MediaSpec,
    ObjectSpec,
    SceneSpec,
    SoundSpec,
    patterns_of,
)

_NAMES_AN_IMAGE = re.compile(r"\b(picture|image|drawing|pic|photo|sketch|illustration|draw|paint|painting)s?\b", re.I)
_VIDEO_ONLY = frozenset({"edit_motion_inf", "edit_motion_ing", "edit_reverse"})
DOUBLE_RATE = 0.1
"""Probability of two edits in one message."""
MAX_DOUBLE_WORDS = 7
MAX_EDIT_TRIES, MAX_WORDS_TRIES = 12, 8


@dataclass(frozen=True)
class Edit:
    """An edited spec with the intent that requests the edit."""

    spec: MediaSpec
    intent: str
    values: dict[str, str] = field(default_factory=dict)
    """Values of slots."""
    shared: str = ""
    """Key of shared templates that are used instead of the intent's."""
    required: frozenset[str] = frozenset()
    """Slots that a template must use."""


Editor = Callable[[PhrasedState, MediaSpec], Edit | None]
"""Samples an edit of a spec; None if it does not apply."""


def noun_value(state: PhrasedState, obj: ObjectSpec | None) -> dict[str, str]:
    """Return the value of the slot ``noun`` for an object, if there is one."""
    return {"noun": phrases.bare_noun(state, obj.object)} if obj else {}


def _choose_intent(state: PhrasedState, rate: float, rare: str, common: str) -> str:
    """Return ``rare`` with probability ``rate`` if the author has templates for it."""
    return rare if state.author.has(rare) and state.bernoulli(rate) else common


def _edit_object(
    state: PhrasedState, spec: MediaSpec, old: ObjectSpec, new: ObjectSpec, intent: str, **values: str
) -> Edit:
    """Return the edit that puts ``new`` for ``old``."""
    return Edit(replace_object(spec, old, new), intent, values | noun_value(state, old))


def edit_color(state: PhrasedState, spec: MediaSpec) -> Edit | None:
    """Give the only object another color."""
    obj = only_object(spec)
    if obj is None:
        return None
    color = state.choice(TINTS[1:])
    intent = _choose_intent(state, 0.2, "correct_color", "edit_color")
    edit = _edit_object(state, spec, obj, phrases.tinted(obj, color), intent, color=phrases.color_word(state, color))
    old = OBJECTS[obj.object].color if obj.tint == "natural" else obj.tint
    if old and old != color and _choose_intent(state, 0.12, "not_but_color", ""):
        return replace(edit, intent="not_but_color", values={**edit.values, "other": old})
    return edit


def edit_color_named(state: PhrasedState, spec: MediaSpec) -> Edit | None:
    """Give an object that is named another color."""
    obj = unique_object(state, spec)
    if obj is None:
        return None
    color = state.choice(TINTS[1:])
    word = phrases.color_word(state, color)
    return _edit_object(state, spec, obj, phrases.tinted(obj, color), "edit_color_named", color=word)


def edit_natural(state: PhrasedState, spec: MediaSpec) -> Edit | None:
    """Give the only object its natural color again."""
    obj = only_object(spec)
    if obj is None or obj.tint == "natural":
        return None
    return _edit_object(state, spec, obj, replace(obj, tint="natural"), "edit_natural")


def edit_size(state: PhrasedState, spec: MediaSpec) -> Edit | None:
    """Make the only object of an image larger or smaller."""
    obj = only_object(spec) if isinstance(spec, SceneSpec) else None
    if obj is None:
        return None
    size, intent = ("small", "edit_size_down") if obj.size == "large" else ("large", "edit_size_up")
    return _edit_object(state, spec, obj, replace(obj, size=size), intent)


def edit_place(state: PhrasedState, spec: MediaSpec) -> Edit | None:
    """Move the only object of an image."""
    obj = only_object(spec) if isinstance(spec, SceneSpec) else None
    if obj is None:
        return None
    place = state.choice(PLACES)
    edit = _edit_object(
        state, spec, obj, replace(obj, place=place), "edit_place", place=phrases.place_phrase(state, place)
    )
    return replace(edit, intent=_choose_intent(state, 0.25, "edit_move_named", "edit_place"))


def edit_background(state: PhrasedState, spec: MediaSpec) -> Edit | None:
    """Give an image or a video another background."""
    assert not isinstance(spec, SoundSpec)
    background = state.choice(BACKGROUNDS)
    values = phrases.background_values(state, background) | noun_value(state, only_object(spec))
    shared = "edit_no_background" if background == "white" and state.bernoulli(0.4) else ""
    return Edit(replace(spec, background=background), "edit_background", values, shared)


def edit_replace(state: PhrasedState, spec: MediaSpec) -> Edit | None:
    """Show another object in the color, place and size of the only one."""
    obj = only_object(spec)
    if obj is None:
        return None
    name = state.choice([kind.name for kind in OBJECTS.values() if kind.name != obj.object and kind.color != obj.tint])
    intent = _choose_intent(state, 0.2, "correct_thing", "edit_replace")
    new, thing = replace(obj, object=name), phrases.object_phrase(state, ObjectSpec(name))
    # At times a color is stated; it is then the new object's.
    if state.bernoulli(0.15):
        new = phrases.tinted(replace(new, tint="natural"), state.choice(TINTS[1:]))
        thing = phrases.object_phrase(state, new)
        if new.tint == "natural":
            return None
    return _edit_object(state, spec, obj, new, intent, thing=thing)


def edit_replace_named(state: PhrasedState, spec: MediaSpec) -> Edit | None:
    """Show another object in the color and place of one that is named among several."""
    if not isinstance(spec, SceneSpec) or len(spec.objects) < 2:
        return None
    obj = unique_object(state, spec)
    if obj is None:
        return None
    shown = {other.object for other in spec.objects}
    name = state.choice([k.name for k in OBJECTS.values() if k.name not in shown and k.color != obj.tint])
    intent = _choose_intent(state, 1.0, "edit_replace_named", "edit_replace")
    values = {"thing": phrases.object_phrase(state, ObjectSpec(name), may_color=False)}
    edit = _edit_object(state, spec, obj, replace(obj, object=name), intent, **values)
    # Other templates of edit_replace do not say which of the objects is meant.
    return replace(edit, required=frozenset({"noun"}))


def edit_swap_to_place(state: PhrasedState, spec: MediaSpec) -> Edit | None:
    """Move a named object to the place of another one, which takes its place."""
    if not isinstance(spec, SceneSpec) or len(spec.objects) < 2:
        return None
    obj = unique_object(state, spec)
    if obj is None:
        return None
    other = state.choice([one for one in spec.objects if one.place != obj.place])
    if (other.object, other.tint) == (obj.object, obj.tint):
        return None
    moved = tuple(
        replace(one, place={obj.place: other.place, other.place: obj.place}.get(one.place, one.place))
        for one in spec.objects
    )
    values = {"place": phrases.place_phrase(state, other.place), **noun_value(state, obj)}
    return Edit(replace(spec, objects=moved), "edit_move_named", values)


def edit_add_at(state: PhrasedState, spec: MediaSpec) -> Edit | None:
    """Put one more object at a place; the only other one moves to the opposite place, or a pair stays where it is."""
    if not isinstance(spec, SceneSpec) or len(spec.objects) > 2:
        return None
    new = ObjectSpec(state.choice([name for name in OBJECTS if name not in {obj.object for obj in spec.objects}]))
    if state.bernoulli(0.3):
        new = phrases.tinted(new, state.choice(TINTS[1:]))
    if len(spec.objects) == 1:
        (obj,) = spec.objects
        layout = state.rng.permutation(state.choice(LAYOUTS[2])).tolist()
        objects = place_objects([replace(one, size="small") for one in (obj, new)], layout)
    else:
        old = {obj.place for obj in spec.objects}
        free = [next(iter(set(layout) - old)) for layout in LAYOUTS[3] if old < set(layout)]
        if not free:
            return None
        objects = (*spec.objects, replace(new, place=state.choice(free), size="small"))
    placed = next(obj for obj in objects if obj.object == new.object)
    values = {"thing": phrases.object_phrase(state, new), "place": phrases.place_phrase(state, placed.place)}
    return Edit(replace(spec, objects=objects), "edit_add_at", values)


def edit_add(state: PhrasedState, spec: MediaSpec) -> Edit | None:
    """Put one more object next to those of an image; all are small and in the default layout."""
    if not isinstance(spec, SceneSpec) or len(spec.objects) > 2:
        return None
    names = {obj.object for obj in spec.objects}
    new = ObjectSpec(state.choice([name for name in OBJECTS if name not in names]))
    if state.bernoulli(0.3):
        new = phrases.tinted(new, state.choice(TINTS[1:]))
    objects = _small((*spec.objects, replace(new, place=PLACES[-1])))
    values = {"thing": phrases.object_phrase(state, new), **noun_value(state, only_object(spec))}
    return Edit(replace(spec, objects=objects), "edit_add", values)


def _small(objects: Sequence[ObjectSpec]) -> tuple[ObjectSpec, ...]:
    return _in_default_layout([replace(obj, size="small") for obj in objects])


def _in_default_layout(objects: Sequence[ObjectSpec]) -> tuple[ObjectSpec, ...]:
    """Return ``objects`` at the default places of so many, in the reading order of their places so far."""
    order = sorted(range(len(objects)), key=lambda index: PLACES.index(objects[index].place))
    places = dict(zip(order, DEFAULT_LAYOUTS[len(objects)], strict=True))
    return tuple(replace(obj, place=places[index]) for index, obj in enumerate(objects))


def edit_count(state: PhrasedState, spec: MediaSpec) -> Edit | None:
    """Show the only object two or three times."""
    obj = only_object(spec) if isinstance(spec, SceneSpec) else None
    if obj is None or not isinstance(spec, SceneSpec):
        return None
    count = state.choice((2, 2, 3))
    shared = "edit_one_more" if count == 2 and state.bernoulli(0.5) else "edit_count"
    number = str(count) if state.bernoulli(0.2) else NUMBERS[count]
    values = {"number": number, "plural": phrases.plural_noun(obj.object), **noun_value(state, obj)}
    return Edit(replace(spec, objects=_small([obj] * count)), "edit_add", values, shared)


def edit_remove(state: PhrasedState, spec: MediaSpec) -> Edit | None:
    """Remove one object from an image of several."""
    if not isinstance(spec, SceneSpec) or len(spec.objects) < 2:
        return None
    removed = unique_object(state, spec)
    if removed is None:
        return None
    others = tuple(obj for obj in spec.objects if obj != removed)
    if len(others) == 2:
        others = _in_default_layout(others)
    return Edit(replace(spec, objects=others), "edit_remove", noun_value(state, removed))


def edit_swap(state: PhrasedState, spec: MediaSpec) -> Edit | None:
    """Let two different objects change places."""
    if not isinstance(spec, SceneSpec) or len(spec.objects) != 2:
        return None
    one, other = spec.objects
    if (one.object, one.tint) == (other.object, other.tint):
        return None
    swapped = place_objects((one, other), (other.place, one.place))
    return Edit(replace(spec, objects=swapped), "edit_swap_places")


def edit_motion(state: PhrasedState, spec: MediaSpec) -> Edit | None:
    """Change the motion of a video."""
    if not isinstance(spec, ClipSpec):
        return None
    motion = state.choice(MOTIONS)
    ing, inf, _ = phrases.motion_forms(state, motion, spec.object)
    intents = [i for i in ("edit_motion_inf", "edit_motion_inf", "edit_motion_ing") if state.author.has(i)]
    if not intents:
        return None
    values = {"inf": inf, "ing": ing, "noun": phrases.bare_noun(state, spec.object)}
    return Edit(replace(spec, motion=motion), state.choice(intents), values)


def edit_reverse(state: PhrasedState, spec: MediaSpec) -> Edit | None:
    """Turn a motion into its opposite."""
    if not isinstance(spec, ClipSpec) or spec.motion not in OPPOSITES:
        return None
    noun = noun_value(state, only_object(spec))
    return Edit(replace(spec, motion=OPPOSITES[spec.motion]), "edit_reverse", noun)


def edit_pitch(state: PhrasedState, spec: MediaSpec) -> Edit | None:
    """Play a sound a step higher or lower."""
    assert isinstance(spec, SoundSpec)
    step, intent = state.choice(((1, "edit_higher"), (-1, "edit_lower")))
    position = PITCHES.index(spec.pitch) + step
    if not 0 <= position < len(PITCHES):
        return None
    return Edit(replace(spec, pitch=PITCHES[position]), intent)


def edit_speed(state: PhrasedState, spec: MediaSpec) -> Edit | None:
    """Play a sound of several notes faster or slower."""
    assert isinstance(spec, SoundSpec)
    if spec.pattern not in TIMED_PATTERNS:
        return None
    speed, intent = ("fast", "edit_faster") if spec.speed == "slow" else ("slow", "edit_slower")
    return Edit(replace(spec, speed=speed), intent)


def edit_source(state: PhrasedState, spec: MediaSpec) -> Edit | None:
    """Play the same on another source."""
    assert isinstance(spec, SoundSpec)
    source = state.choice([s for s in SOURCES if s not in WORD_SOURCES and s != spec.source])
    if spec.pattern not in patterns_of(source):
        return None
    values = {"source": phrases.source_noun_phrase(state, source)}
    return Edit(replace(spec, source=source), "edit_source", values)


def edit_how(state: PhrasedState, spec: MediaSpec) -> Edit | None:
    """Play a source in another pattern; the speed stays."""
    assert isinstance(spec, SoundSpec)
    pattern = state.choice(patterns_of(spec.source))
    speed = spec.speed if pattern in TIMED_PATTERNS else "slow"
    values = {"how": phrases.pattern_words(state, pattern)}
    return Edit(replace(spec, pattern=pattern, speed=speed), "edit_how", values)


EDITORS: dict[str, tuple[tuple[Editor, float], ...]] = {
    "image": (
        (edit_color, 4.0), (edit_color_named, 2.0), (edit_natural, 0.7), (edit_size, 2.5), (edit_place, 2.5),
        (edit_background, 4.0), (edit_replace, 3.0), (edit_add, 2.5), (edit_remove, 1.2),
        (edit_count, 0.8), (edit_swap, 0.8), (edit_replace_named, 1.5), (edit_swap_to_place, 0.4), (edit_add_at, 1.2),
    ),
    "video": ((edit_motion, 4.0), (edit_reverse, 2.5), (edit_color, 2.0), (edit_background, 2.0), (edit_replace, 1.5)),
    "audio": ((edit_pitch, 4.0), (edit_speed, 2.0), (edit_source, 3.0), (edit_how, 3.0)),
}  # fmt: skip
"""Edits of each modality with their weights."""
DOUBLE_EDITORS: dict[str, tuple[Editor, ...]] = {
    "image": (edit_color, edit_size, edit_place, edit_background, edit_replace),
    "video": (edit_motion, edit_color, edit_background, edit_replace),
    "audio": (edit_pitch, edit_speed, edit_source, edit_how),
}
"""Edits that can be requested two at once."""
EARLIER_VISUAL: tuple[Editor, ...] = (edit_color, edit_color_named, edit_background)
EARLIER_AUDIO: tuple[Editor, ...] = (edit_pitch, edit_speed)
"""Edits whose words can mean one modality only."""


def edit(state: PhrasedState, spec: MediaSpec, modality: str, *, given: MediaSpec | None) -> DialogueTurn | None:
    """Sample an edit of ``spec``, which is ``given`` with the words or is the last of its modality."""
    spec = spec if given else state.as_told(spec)
    if state.bernoulli(DOUBLE_RATE) and (turn := _double_edit(state, spec, modality, given)):
        return turn
    editors = EDITORS[modality]
    for index in weighted_order(state, [weight for _, weight in editors]):
        edit = _usable_edit(state, editors[index][0], spec)
        if edit is not None and (words := _words(state, edit, modality)):
            _note_own_colors(state, edit, spec)
            return state.media_turn(f"edit_{modality}", words, edit.spec, given=given, edited=spec)
    return None


def edit_earlier(state: PhrasedState) -> DialogueTurn | None:
    """Edit a medium that is not the last, if the words can mean no other modality."""
    last = state.media[-1].modality if state.media else None
    others = {part.modality for part in state.media} - {last}
    if last == "audio" and len(others) == 1:
        modality, editors = others.pop(), EARLIER_VISUAL
    elif last in ("image", "video") and "audio" in others:
        modality, editors = "audio", EARLIER_AUDIO
    else:
        return None
    spec = state.last_spec(modality)
    assert spec is not None
    spec = state.as_told(spec)
    edit = _usable_edit(state, state.choice(editors), spec)
    words = edit and _words(state, edit, modality)
    if not edit or not words:
        return None
    _note_own_colors(state, edit, spec)
    return state.media_turn(f"edit_{modality}", words, edit.spec, edited=spec)


def _note_own_colors(state: PhrasedState, edit: Edit, old: MediaSpec) -> None:
    """Note the objects that the words of an edit give their natural color: by its name, or by asking for it back."""
    became_natural = {name for name, tint in _tints(edit.spec) if tint == "natural"} - {
        name for name, tint in _tints(old) if tint == "natural"
    }
    if edit.intent == "edit_natural":
        state.own_colors.difference_update(became_natural)
    elif "color" in edit.values:
        state.own_colors.update(became_natural)


def _tints(spec: MediaSpec) -> list[tuple[str, str]]:
    """Return object and tint of everything that is shown."""
    if isinstance(spec, ClipSpec):
        return [(spec.object, spec.tint)]
    return [(obj.object, obj.tint) for obj in spec.objects] if isinstance(spec, SceneSpec) else []


def names_other_medium(words: str, modality: str) -> bool:
    """Return True if ``words`` about a sound or a video name an image."""
    return modality != "image" and _NAMES_AN_IMAGE.search(words) is not None


def weighted_order(state: PhrasedState, weights: Sequence[float]) -> list[int]:
    """Return positions in random order, those with large weights rather first."""
    keys = [state.rng.random() ** (1 / weight) for weight in weights]
    return sorted(range(len(weights)), key=lambda index: -keys[index])


def _double_edit(state: PhrasedState, spec: MediaSpec, modality: str, given: MediaSpec | None) -> DialogueTurn | None:
    """Sample two edits in one message."""
    editors = DOUBLE_EDITORS[modality]
    one, other = state.rng.permutation(len(editors))[:2].tolist()
    first = _usable_edit(state, editors[one], spec)
    second = first and _usable_edit(state, editors[other], first.spec)
    if first is None or second is None or len(difference(spec, second.spec)) < 2:
        return None
    clauses = []
    for edit in (first, second):
        if not state.usable_patterns(edit.intent, edit.values):
            return None
        words = state.fill_intent(edit.intent, **edit.values).rstrip(".! ")
        if words.endswith("?") or len(words.split()) > MAX_DOUBLE_WORDS:
            return None
        if edit.intent not in _VIDEO_ONLY and names_other_medium(words, modality):
            return None
        clauses.append(words)
        _note_own_colors(state, edit, spec)
    joint = state.choice((" and ", " and ", ", ", " and also ", ", and "))
    words = state.typed(f"{clauses[0]}{joint}{decapitalize(clauses[1])}")
    return state.media_turn(f"edit_{modality}", words, second.spec, given=given, edited=spec)


def _usable_edit(state: PhrasedState, editor: Editor, spec: MediaSpec) -> Edit | None:
    for _ in range(MAX_EDIT_TRIES):
        edit = editor(state, spec)
        if edit is not None and edit.spec != spec and state.in_split(edit.spec):
            return edit
    return None


def _words(state: PhrasedState, edit: Edit, modality: str) -> str | None:
    """Return words for an edit that can mean no other modality; None if none are found."""
    if edit.shared:
        return state.typed(state.fill_shared(edit.shared, **edit.values))
    if not state.usable_patterns(edit.intent, edit.values, edit.required):
        return None
    for _ in range(MAX_WORDS_TRIES):
        phrase = state.phrase_request if state.bernoulli(0.4) else state.phrase_intent
        words = phrase(edit.intent, edit.required, **edit.values)
        if edit.intent in _VIDEO_ONLY or not names_other_medium(words, modality):
            return words
    return None
