"""Follow-ups about a medium: repetition, undo, and requests for another modality."""

from __future__ import annotations

from nextgpt.miniworld.language.lexicon import indefinite, noun, source_phrase
from nextgpt.miniworld.language.out_of_domain import KEY_WORDS
from nextgpt.miniworld.language.phrasings import noun_phrases as phrases
from nextgpt.miniworld.language.phrasings.edits import names_other_medium, noun_value
from nextgpt.miniworld.language.phrasings.out_of_domain import TASK, decline
from nextgpt.miniworld.language.phrasings.requests import DEFAULT_MOTION
from nextgpt.miniworld.language.phrasings.state import PhrasedState
from nextgpt.miniworld.language.types import DialogueTurn
from nextgpt.miniworld.language.visual_questions import only_object
from nextgpt.miniworld.objects import OBJECTS
from nextgpt.miniworld.specs import MOTIONS, ClipSpec, MediaSpec, ObjectSpec, SceneSpec, SoundSpec

SILENT_RATE = 0.2
"""Probability that the sound of an object that has none is requested, relative to one that has a sound."""


def again(state: PhrasedState) -> DialogueTurn | None:
    """Request the last medium once more."""
    if not state.media or not state.author.has("again"):
        return None
    last = state.media[-1]
    words = state.phrase_intent("again")
    if names_other_medium(words, last.modality):
        return None
    return state.media_turn("again", words, state.as_told(last.spec), edited=last.spec)


def undo(state: PhrasedState) -> DialogueTurn | None:
    """Return to the medium before the last edit."""
    if not state.turns or not state.turns[-1].task.startswith("edit_") or not state.author.has("undo"):
        return None
    turn = state.turns[-1]
    edited = turn.target_media[0]
    before = (
        turn.input_media[-1]
        if turn.input_media
        else [part for part in state.media if part.modality == edited.modality][-2]
    )
    return state.media_turn("undo", state.phrase_intent("undo"), state.as_told(before.spec), edited=edited.spec)


def animate(state: PhrasedState, spec: MediaSpec, *, given: MediaSpec | None) -> DialogueTurn | None:
    """Request a video of the only object of an image."""
    obj = only_object(spec) if isinstance(spec, SceneSpec) else None
    intents = [i for i in ("animate", "animate", "animate_any") if state.author.has(i)]
    if obj is None or not isinstance(spec, SceneSpec) or not intents:
        return None
    intent = state.choice(intents)
    motion = state.choice(MOTIONS) if intent == "animate" else DEFAULT_MOTION
    clip = ClipSpec(obj.object, obj.tint, spec.background, motion)
    if not state.in_split(clip):
        return None
    values = noun_value(state, obj)
    if intent == "animate":
        values["inf"] = phrases.motion_forms(state, motion, obj.object)[1]
    return state.media_turn("animate", state.phrase_intent(intent, **values), clip, given=given)


def introduction(before: MediaSpec, after: MediaSpec) -> str:
    """Return the first sentence of an answer with the sound of what was shown, or the image of what was heard."""
    if isinstance(after, SoundSpec):
        obj = None if isinstance(before, SoundSpec) else only_object(before)
        return f"This is {indefinite(noun(obj.object))}." if obj and OBJECTS[obj.object].sound == after.source else ""
    obj = only_object(after)
    is_source = isinstance(before, SoundSpec) and obj is not None and OBJECTS[obj.object].sound == before.source
    return f"This is {source_phrase(before.source)}." if is_source else ""


def hear_it(state: PhrasedState, spec: MediaSpec, *, given: MediaSpec | None) -> DialogueTurn | None:
    """Request the sound of the only object of an image or a video."""
    obj = only_object(spec)
    if obj is None or not state.author.has("hear_it"):
        return None
    sound, thing = OBJECTS[obj.object].sound, indefinite(noun(obj.object))
    words = state.phrase_intent("hear_it", **noun_value(state, obj))
    if sound is None:
        answer = decline("audio", thing)
        return state.text_turn(TASK, words, answer, KEY_WORDS, given) if state.bernoulli(SILENT_RATE) else None
    if not state.in_split(SoundSpec(sound)):
        return None
    intro = introduction(spec, SoundSpec(sound))
    return state.media_turn("hear_it", words, SoundSpec(sound), given=given, intro=intro)


def see_it(state: PhrasedState, spec: MediaSpec, *, given: MediaSpec | None) -> DialogueTurn | None:
    """Request an image of the source of a sound."""
    if not isinstance(spec, SoundSpec) or not state.author.has("see_it"):
        return None
    name = next((kind.name for kind in OBJECTS.values() if kind.sound == spec.source), None)
    if name is None or not state.in_split(SceneSpec((ObjectSpec(name),))):
        return None
    scene = SceneSpec((ObjectSpec(name),))
    words = state.phrase_intent("see_it")
    return state.media_turn("see_it", words, scene, given=given, intro=introduction(spec, scene))


def still(state: PhrasedState, spec: MediaSpec, *, given: MediaSpec | None) -> DialogueTurn | None:
    """Request an image of the object of a video."""
    if not isinstance(spec, ClipSpec):
        return None
    scene = SceneSpec((ObjectSpec(spec.object, spec.tint),), spec.background)
    if not state.in_split(scene):
        return None
    words = state.typed(state.fill_shared("still", noun=phrases.bare_noun(state, spec.object)))
    return state.media_turn("still", words, scene, given=given)
