"""Requests of one to four words: ``"a cat"``, ``"cat pic"``, ``"harp sound"``, ``"moon spinning"``.

Known and unknown things share these forms, so a model has to know which is which. Most are known: in other requests,
few are this short, and a model that hardly sees them declines even ``"a cat"``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from nextgpt.miniworld.language.lexicon import indefinite
from nextgpt.miniworld.language.out_of_domain import KEY_WORDS, UNKNOWN
from nextgpt.miniworld.language.phrasings import noun_phrases as phrases
from nextgpt.miniworld.language.phrasings.filling import fill
from nextgpt.miniworld.language.phrasings.out_of_domain import TASK as UNKNOWN_TASK
from nextgpt.miniworld.language.phrasings.out_of_domain import decline, unknown_names
from nextgpt.miniworld.language.phrasings.state import PhrasedState
from nextgpt.miniworld.language.types import DialogueTurn
from nextgpt.miniworld.objects import OBJECTS
from nextgpt.miniworld.specs import (
    MOTIONS,
    SOURCES,
    TINTS,
    WORD_SOURCES,
    ClipSpec,
    MediaSpec,
    ObjectSpec,
    SceneSpec,
    SoundSpec,
)

UNKNOWN_RATE = 0.15
COLOR_RATE = 0.3
"""Probability that a color is stated."""
_MODALITIES = ("image",) * 7 + ("audio",) * 2 + ("video",)
_FORMS: Mapping[str, tuple[str, ...]] = {
    "image": (
        "{thing}", "{thing}", "{thing}", "{noun}", "{noun}", "{noun} pic", "{noun} picture", "{noun} drawing",
        "{noun} please", "{thing} please", "{thing} pls", "draw {thing}", "Draw {thing}.", "draw {noun}",
        "picture of {thing}", "a picture of {thing}", "image of {thing}", "pic of {thing}", "show me {thing}",
        "show {thing}", "sketch {thing}", "make {thing}", "{noun} image", "{thing}, thanks", "I want {thing}",
    ),
    "audio": (
        "{noun} sound", "{noun} sounds", "sound of {thing}", "the sound of {thing}", "{noun} audio", "hear {thing}",
        "play {thing}", "{noun} noise", "audio of {thing}", "{thing}, sound please", "sound: {noun}",
    ),
    "video": (
        "{thing} {ing}", "{noun} {ing}", "{noun} {ing}, video", "{noun} video, {ing}", "video: {noun} {ing}",
        "clip of {thing} {ing}", "{thing} {ing} please",
    ),
}  # fmt: skip


def request_bare(state: PhrasedState) -> DialogueTurn | None:
    """Request a known thing, or at times an unknown one, in very few words."""
    modality = state.choice(_MODALITIES)
    if state.bernoulli(UNKNOWN_RATE):
        name = state.choice(unknown_names(UNKNOWN["sounds" if modality == "audio" else "things"].train))
        words = _words(state, modality, noun=name, thing=indefinite(name), ing=_motion(state, state.choice(MOTIONS)))
        return state.text_turn(UNKNOWN_TASK, words, decline(modality, indefinite(name)), KEY_WORDS)
    request = state.first_in_split(lambda: _SAMPLERS[modality](state), lambda sampled: sampled[0])
    if request is None:
        return None
    spec, values = request
    return state.media_turn(f"text_to_{modality}", _words(state, modality, **values), spec)


def _words(state: PhrasedState, modality: str, **values: str) -> str:
    return state.typed(fill(state.rng, state.choice(_FORMS[modality]), values))


def _motion(state: PhrasedState, motion: str, name: str = "cat") -> str:
    return phrases.motion_forms(state, motion, name)[0]


def _sample_object(state: PhrasedState) -> tuple[ObjectSpec, dict[str, str]]:
    name = state.choice(tuple(OBJECTS))
    obj = ObjectSpec(name)
    if not state.bernoulli(COLOR_RATE):
        return obj, {
            "thing": phrases.object_phrase(state, obj, may_color=False),
            "noun": phrases.bare_noun(state, name),
        }
    color = state.choice([tint for tint in TINTS[1:] if tint != OBJECTS[name].color])
    obj = phrases.tinted(obj, color)
    return obj, {
        "thing": phrases.object_phrase(state, obj),
        "noun": f"{phrases.color_word(state, color)} {phrases.bare_noun(state, name)}",
    }


_Sampled = tuple[MediaSpec, dict[str, str]]


def _sample_image(state: PhrasedState) -> _Sampled:
    obj, values = _sample_object(state)
    return SceneSpec((obj,)), values


def _sample_audio(state: PhrasedState) -> _Sampled:
    source = state.choice([source for source in SOURCES if source not in WORD_SOURCES])
    thing = phrases.source_noun_phrase(state, source)
    return SoundSpec(source), {"thing": thing, "noun": source}


def _sample_video(state: PhrasedState) -> _Sampled:
    obj, values = _sample_object(state)
    motion = state.choice(MOTIONS)
    clip = ClipSpec(obj.object, obj.tint, motion=motion)
    return clip, {**values, "ing": _motion(state, motion, obj.object)}


_SAMPLERS: Mapping[str, Callable[[PhrasedState], _Sampled]] = {
    "image": _sample_image,
    "audio": _sample_audio,
    "video": _sample_video,
}
