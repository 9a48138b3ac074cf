"""What lies outside the small world, answered honestly: what the model does not know, and how much it does."""

from __future__ import annotations

from collections.abc import Callable

from nextgpt.miniworld.language import out_of_domain_words as unknown
from nextgpt.miniworld.language.dialogue_state import DialogueState
from nextgpt.miniworld.language.lexicon import (
    MOTION_FORMS,
    any_of_kind,
    background_forms,
    indefinite,
    listed,
    noun,
)
from nextgpt.miniworld.language.requests import AUDIO, IMAGE, SPEECH, VIDEO
from nextgpt.miniworld.language.types import DialogueTurn
from nextgpt.miniworld.objects import OBJECTS
from nextgpt.miniworld.specs import BACKGROUNDS, MOTIONS, SOURCES, TINTS

EXAMPLES = "for example cat, piano and car"
SOUND_EXAMPLES = "for example piano, bell and bird"
MOTION_EXAMPLES = "for example spinning, growing and moving left"
KEY_WORDS = (("do not know",),)
INVENTED_SHARE = 0.35
"""How often, in training, the thing or colour that is asked for has an invented name."""


def unknown_image_answer() -> str:
    """The answer where there is no picture of what was asked for."""
    return f"I do not know how that looks. I am a small model: I can draw {len(OBJECTS)} things, {EXAMPLES}."


def unknown_sound_answer() -> str:
    """The answer where there is no sound of what was asked for."""
    return f"I do not know how that sounds. I am a small model: I can play {len(SOURCES)} sounds, {SOUND_EXAMPLES}."


def unknown_motion_answer() -> str:
    """The answer where a motion is asked for that there is not."""
    return f"I do not know that motion. I am a small model: I know {len(MOTIONS)} motions, {MOTION_EXAMPLES}."


def unknown_color_answer() -> str:
    """The answer where a colour is asked for that things are not shown in."""
    return f"I do not know things in that color. I know {listed(TINTS[1:])}."


def unknown_background_answer() -> str:
    """The answer where a background is asked for that there is not."""
    return f"I do not know that background. I know {listed(BACKGROUNDS)}."


def unknown_fact_answer() -> str:
    """The answer to questions about the large world."""
    return f"I do not know that. I am a small model: I only know {len(OBJECTS)} things, {EXAMPLES}."


def out_of_domain(state: DialogueState) -> DialogueTurn:
    """A request or question that the small world has no answer to."""
    words, answer = state.choice(_REQUESTS)(state)
    return DialogueTurn("outside", (words,), (answer,), KEY_WORDS)


def _image_request(state: DialogueState) -> tuple[str, str]:
    thing = _thing(state)
    if state.bernoulli(0.25):
        thing = f"{state.choice(TINTS[1:])} {thing}"
    what = indefinite(thing)
    if state.bernoulli(0.15):
        both = [what, indefinite(noun(state.choice(list(OBJECTS))))]
        what = listed(both if state.bernoulli(0.5) else both[::-1])
    elif state.bernoulli(0.25):
        what = f"{what} {state.choice(background_forms(state.choice(BACKGROUNDS)))}"
    return state.phrase(IMAGE, what=what), unknown_image_answer()


def _video_request(state: DialogueState) -> tuple[str, str]:
    motion = MOTION_FORMS[state.choice(MOTIONS)][0]
    return state.phrase(VIDEO, what=f"{indefinite(_thing(state))} {motion}"), unknown_image_answer()


def _audio_request(state: DialogueState) -> tuple[str, str]:
    if state.bernoulli(0.4):
        source = state.choice([kind.name for kind in OBJECTS.values() if kind.sound is None])
        return state.phrase(AUDIO, what=f"the sound of {any_of_kind(source)}"), unknown_sound_answer()
    source = indefinite(state.choice(unknown.SOUND_MAKERS.of(state.split)))
    return state.phrase(AUDIO, what=state.choice((source, f"the sound of {source}"))), unknown_sound_answer()


def _word_request(state: DialogueState) -> tuple[str, str]:
    return state.phrase(SPEECH, word=state.choice(unknown.WORDS.of(state.split))), unknown_sound_answer()


def _motion_request(state: DialogueState) -> tuple[str, str]:
    thing = indefinite(noun(state.choice(list(OBJECTS))))
    return state.phrase(
        VIDEO, what=f"{thing} {state.choice(unknown.MOTIONS.of(state.split))}"
    ), unknown_motion_answer()


def _color_request(state: DialogueState) -> tuple[str, str]:
    color, name = (
        _invented_word(state) or state.choice(unknown.COLORS.of(state.split)),
        noun(state.choice(list(OBJECTS))),
    )
    return state.phrase(IMAGE, what=indefinite(f"{color} {name}")), unknown_color_answer()


def _background_request(state: DialogueState) -> tuple[str, str]:
    where = state.choice(unknown.BACKGROUNDS.of(state.split))
    return state.phrase(
        IMAGE, what=f"{indefinite(noun(state.choice(list(OBJECTS))))} {where}"
    ), unknown_background_answer()


def _world_question(state: DialogueState) -> tuple[str, str]:
    return state.phrase(unknown.QUESTIONS), unknown_fact_answer()


_REQUESTS: tuple[Callable[[DialogueState], tuple[str, str]], ...] = (
    *[_image_request] * 5,
    _video_request,
    *[_audio_request] * 3,
    _word_request,
    _motion_request,
    _color_request,
    _background_request,
    *[_world_question] * 4,
)


def _thing(state: DialogueState) -> str:
    return _invented_word(state) or state.choice(unknown.THINGS.of(state.split))


def _invented_word(state: DialogueState) -> str | None:
    """An invented word, sometimes and in training alone."""
    if state.split != "train" or not state.bernoulli(INVENTED_SHARE):
        return None
    syllables = int(state.rng.integers(2, 4))
    return "".join(state.choice(parts) for _ in range(syllables) for parts in unknown.SYLLABLE_PARTS)
