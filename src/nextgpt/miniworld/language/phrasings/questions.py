"""Questions about media in an author's words, with answers that follow from the specs."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from dataclasses import replace

from nextgpt.miniworld.language import audio_questions, visual_questions
from nextgpt.miniworld.language.descriptions import counted, describe, object_phrase, pattern_phrase
from nextgpt.miniworld.language.lexicon import (
    MOTION_FORMS,
    PATTERN_FORMS,
    indefinite,
    listed,
    noun,
    object_names,
    yes_or_no,
)
from nextgpt.miniworld.language.phrasings import noun_phrases as phrases
from nextgpt.miniworld.language.phrasings.author import INTENTS, shared_phrasings
from nextgpt.miniworld.language.phrasings.conversation import object_key_words
from nextgpt.miniworld.language.phrasings.edits import weighted_order
from nextgpt.miniworld.language.phrasings.filling import decapitalize
from nextgpt.miniworld.language.phrasings.state import PhrasedState
from nextgpt.miniworld.language.types import DialogueTurn, QuestionAnswer
from nextgpt.miniworld.language.visual_questions import only_object
from nextgpt.miniworld.objects import OBJECTS
from nextgpt.miniworld.specs import MOTIONS, SOURCES, TINTS, WORD_SOURCES, ClipSpec, MediaSpec, SceneSpec, SoundSpec

AnswerFn = Callable[[PhrasedState, MediaSpec], QuestionAnswer | None]
"""Answers a question about a spec; None if the spec gives no certain answer."""


def what(state: PhrasedState, spec: MediaSpec) -> QuestionAnswer | None:
    """Name all objects, with their colors."""
    obj = only_object(spec)
    if obj is not None:
        answer = f"It is {indefinite(object_phrase(obj.object, obj.tint))}."
    else:
        assert isinstance(spec, SceneSpec)
        answer = f"I see {list_objects(spec)}."
    return QuestionAnswer(answer, object_key_words(spec))


def list_objects(scene: SceneSpec) -> str:
    """Return the objects of a scene with their colors: ``"two red cats and a dog"``."""
    counts = Counter((obj.object, obj.tint) for obj in scene.objects)
    return listed(
        [indefinite(object_phrase(*kind)) if count == 1 else counted(count, *kind) for kind, count in counts.items()]
    )


def description(state: PhrasedState, spec: MediaSpec) -> QuestionAnswer | None:
    """Describe all of a medium."""
    verb = "hear" if isinstance(spec, SoundSpec) else "see"
    motion = ((MOTION_FORMS[spec.motion][0],),) if isinstance(spec, ClipSpec) else ()
    return QuestionAnswer(f"I {verb} {describe(spec)}.", (*object_key_words(spec), *motion))


def color(state: PhrasedState, spec: MediaSpec) -> QuestionAnswer | None:
    """State the color of the only object."""
    return visual_questions.which_color(state, spec) if only_object(spec) else None


def where_it(state: PhrasedState, spec: MediaSpec) -> QuestionAnswer | None:
    """State the place of the only object."""
    return visual_questions.where_is(state, spec) if only_object(spec) else None


def how_many(state: PhrasedState, spec: MediaSpec) -> QuestionAnswer | None:
    """Count all objects of an image and name them."""
    assert isinstance(spec, SceneSpec)
    count = visual_questions.how_many(state, spec)
    return count and replace(count, answer=f"{count.answer.rstrip('.')}: {list_objects(spec)}.")


def count_named(state: PhrasedState, spec: MediaSpec) -> QuestionAnswer | None:
    """Count the objects of one kind."""
    count = visual_questions.how_many_of(state, spec)
    return count and replace(count, values={"plural": count.values["things"]})


def is_there(state: PhrasedState, spec: MediaSpec) -> QuestionAnswer | None:
    """Check for a kind of object; the objects of the image follow a no."""
    assert isinstance(spec, SceneSpec)
    check = visual_questions.is_there(state, spec)
    if check is None or check.key_words == (("yes",),):
        return check
    return replace(check, answer=f"{check.answer.rstrip('.')}, I see {list_objects(spec)}.")


def is_color(state: PhrasedState, spec: MediaSpec) -> QuestionAnswer | None:
    """Check the only object for a color."""
    obj = only_object(spec)
    own = obj and (OBJECTS[obj.object].color if obj.tint == "natural" else obj.tint)
    if obj is None or own is None:
        return None
    asked = own if state.bernoulli(0.5) else state.choice([tint for tint in TINTS[1:] if tint != own])
    yes = yes_or_no(asked == own)
    answer = f"{yes}, the {noun(obj.object)} is {own}."
    return QuestionAnswer(answer, ((yes,), (own,)), {"color": phrases.color_word(state, asked)})


def left_right(state: PhrasedState, spec: MediaSpec) -> QuestionAnswer | None:
    """Name the object on the left or right."""
    if not isinstance(spec, SceneSpec) or len(spec.objects) < 2:
        return None
    side = state.choice(("left", "right"))
    there = [obj for obj in spec.objects if side in obj.place]
    if len(there) != 1:
        return None
    thing = indefinite(object_phrase(there[0].object, there[0].tint))
    answer = f"{thing[0].upper()}{thing[1:]} is on the {side}."
    return QuestionAnswer(answer, (object_names(there[0].object),), {"side": side})


def compare_color(state: PhrasedState, spec: MediaSpec) -> QuestionAnswer | None:
    """Check two objects for the same color."""
    if not isinstance(spec, SceneSpec) or len(spec.objects) != 2:
        return None
    one, other = spec.objects
    colors = [OBJECTS[o.object].color if o.tint == "natural" else o.tint for o in (one, other)]
    if None in colors:
        return None
    if colors[0] == colors[1]:
        return QuestionAnswer(f"Yes, both are {colors[0]}.", (("yes",),))
    names = ("one", "one") if one.object == other.object else (f"the {noun(o.object)}" for o in (one, other))
    parts = [f"{name} is {color}" for name, color in zip(names, colors, strict=True)]
    return QuestionAnswer(f"No, {listed(parts)}.", (("no",),))


def is_source(state: PhrasedState, spec: MediaSpec) -> QuestionAnswer | None:
    """Check a sound for a source."""
    assert isinstance(spec, SoundSpec)
    if spec.source in WORD_SOURCES:
        return None
    others = [source for source in SOURCES if source not in (*WORD_SOURCES, spec.source)]
    asked = spec.source if state.bernoulli(0.5) else state.choice(others)
    yes, source = yes_or_no(asked == spec.source), audio_questions.what_sound(state, spec)
    assert source is not None
    values = {"source": phrases.source_noun_phrase(state, asked)}
    return QuestionAnswer(f"{yes}, {decapitalize(source.answer)}", ((yes,), (spec.source,)), values)


def sound_how(state: PhrasedState, spec: MediaSpec) -> QuestionAnswer | None:
    """State the pattern of a sound, with the number or direction of its notes."""
    assert isinstance(spec, SoundSpec)
    details = {
        "rising": ", going up",
        "falling": ", going down",
        "repeated": ", three times",
        "chord": ", several notes at once",
    }
    answer = f"It is heard {pattern_phrase(spec)}{details.get(spec.pattern, '')}."
    return QuestionAnswer(answer, ((PATTERN_FORMS[spec.pattern][0],),))


def is_moving(state: PhrasedState, spec: MediaSpec) -> QuestionAnswer | None:
    """Check a video for a motion."""
    check = visual_questions.is_moving(state, spec)
    assert check is not None and isinstance(spec, ClipSpec)
    asked = next(m for m in MOTIONS if MOTION_FORMS[m][0] == check.values["motion"])
    ing, inf, _ = phrases.motion_forms(state, asked, spec.object)
    return replace(check, values={"ing": ing, "inf": inf, "noun": noun(spec.object)})


def answer_yes_or_no(words: str, intent: str, spec: MediaSpec, answer: QuestionAnswer) -> QuestionAnswer:
    """Begin the answer with yes or no if the question names one value alone: ``"is it high?"``."""
    if intent not in _CUES or not _IS_CLOSED.match(words) or re.search(r"\bor\b(?! not)", words):
        return answer
    named = {value for value, cue in _CUES[intent].items() if re.search(rf"\b({cue})\b", words, re.I)}
    if len(named) != 1:
        return answer
    if isinstance(spec, SoundSpec):
        actual = spec.pitch if intent == "q_sound_pitch" else spec.pattern
    else:
        obj = only_object(spec)
        actual = obj and obj.size
    yes = yes_or_no(actual in named)
    return replace(answer, answer=f"{yes}, {decapitalize(answer.answer)}", key_words=((yes,), *answer.key_words))


_IS_CLOSED = re.compile(
    r"(?!.*\b(how|which|what|where)\b)(\W*\w+\W+){0,3}?(is|was|does|did|do|would|could|am|has|have)\b", re.I
)
_CUES = {
    "q_sound_pitch": {
        "low": r"low\w*|deep\w*|bass\w*",
        "high": r"high\w*|squeaky|shrill|treble",
        "middle": "middle|medium",
    },
    "q_sound_how": {
        "single": "once|one time|single|one note",
        "repeated": r"repeat\w*|more than once|several times|again and again|over and over|three times|loop\w*",
        "rising": r"up|upwards?|rising|climb\w*|higher|ascend\w*",
        "falling": r"down|downwards?|falling|lower|descend\w*",
        "chord": r"chords?|harmony|at once|together",
    },
    "q_size": {"small": "small|little|tiny", "large": "large|big|huge"},
}
"""Words that name a value in a question, by intent."""
_ASKS_FOR_ALL = re.compile(r"\b(describe|description|tell me (all )?about)\b", re.I)
QUESTIONS: dict[str, dict[str, tuple[AnswerFn, float]]] = {
    "image": {
        "q_what": (what, 2.0), "q_describe": (description, 2.0), "q_color": (color, 2.0),
        "q_color_named": (visual_questions.which_color, 1.5), "q_count": (how_many, 1.2),
        "q_count_named": (count_named, 1.0), "q_where": (visual_questions.where_is, 1.5),
        "q_where_it": (where_it, 1.0), "q_background": (visual_questions.which_background, 1.8),
        "q_size": (visual_questions.how_big, 1.0), "q_is_there": (is_there, 1.8), "q_is_color": (is_color, 1.3),
        "q_left_right": (left_right, 1.0), "q_compare_color": (compare_color, 0.8),
    },
    "audio": {
        "q_sound_what": (audio_questions.what_sound, 2.0), "q_sound_pitch": (audio_questions.how_high, 1.2),
        "q_sound_how": (sound_how, 1.2), "q_sound_is": (is_source, 1.2),
    },
    "video": {
        "q_video_what": (description, 1.5), "q_video_motion": (visual_questions.which_motion, 2.0),
        "q_video_direction": (visual_questions.which_way, 1.0), "q_video_color": (color, 1.0),
        "q_video_is": (is_moving, 1.0),
    },
}  # fmt: skip
"""Questions of each modality by intent, with their weights."""


def question(state: PhrasedState, spec: MediaSpec, modality: str, *, given: MediaSpec | None) -> DialogueTurn | None:
    """Sample a question about ``spec``, which is ``given`` with the words or is the last of its modality."""
    shared = shared_phrasings()
    rows = [(i, *row) for i, row in QUESTIONS[modality].items() if state.author.has(i) or i in shared]
    for index in weighted_order(state, [weight for _, _, weight in rows]):
        intent, answer_fn, _ = rows[index]
        answer = answer_fn(state, spec)
        if answer is None:
            continue
        if intent in shared:
            words = state.typed(state.fill_shared(intent, **answer.values))
            return state.text_turn("question", words, answer.answer, answer.key_words, given)
        slots = INTENTS[intent]
        values = {name: value for name, value in answer.values.items() if name in slots}
        obj = only_object(spec)
        if "noun" in slots and (named := answer.values.get("thing") or (obj and noun(obj.object))):
            values["noun"] = named
        if not state.usable_patterns(intent, values):
            continue
        words = state.phrase_intent(intent, **values)
        if modality == "audio" and _ASKS_FOR_ALL.search(words):
            answer = description(state, spec) or answer
        answer = answer_yes_or_no(words, intent, spec, answer)
        return state.text_turn("question", words, answer.answer, answer.key_words, given)
    return None
