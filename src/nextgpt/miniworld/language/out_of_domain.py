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


def out_of_domain(talk: DialogueState) -> DialogueTurn:
    """A request or question that the small world has no answer to."""
    words, answer = talk.choice(_REQUESTS)(talk)
    return DialogueTurn("outside", (words,), (answer,), KEY_WORDS)


def _image_request(talk: DialogueState) -> tuple[str, str]:
    thing = _thing(talk)
    if talk.bernoulli(0.25):
        thing = f"{talk.choice(TINTS[1:])} {thing}"
    what = indefinite(thing)
    if talk.bernoulli(0.15):
        both = [what, indefinite(noun(talk.choice(list(OBJECTS))))]
        what = listed(both if talk.bernoulli(0.5) else both[::-1])
    elif talk.bernoulli(0.25):
        what = f"{what} {talk.choice(background_forms(talk.choice(BACKGROUNDS)))}"
    return talk.phrase(IMAGE, what=what), unknown_image_answer()


def _video_request(talk: DialogueState) -> tuple[str, str]:
    motion = MOTION_FORMS[talk.choice(MOTIONS)][0]
    return talk.phrase(VIDEO, what=f"{indefinite(_thing(talk))} {motion}"), unknown_image_answer()


def _audio_request(talk: DialogueState) -> tuple[str, str]:
    if talk.bernoulli(0.4):
        source = talk.choice([kind.name for kind in OBJECTS.values() if kind.sound is None])
        return talk.phrase(AUDIO, what=f"the sound of {any_of_kind(source)}"), unknown_sound_answer()
    source = indefinite(talk.choice(unknown.SOUND_MAKERS.of(talk.split)))
    return talk.phrase(AUDIO, what=talk.choice((source, f"the sound of {source}"))), unknown_sound_answer()


def _word_request(talk: DialogueState) -> tuple[str, str]:
    return talk.phrase(SPEECH, word=talk.choice(unknown.WORDS.of(talk.split))), unknown_sound_answer()


def _motion_request(talk: DialogueState) -> tuple[str, str]:
    thing = indefinite(noun(talk.choice(list(OBJECTS))))
    return talk.phrase(
        VIDEO, what=f"{thing} {talk.choice(unknown.MOTIONS.of(talk.split))}"
    ), unknown_motion_answer()


def _color_request(talk: DialogueState) -> tuple[str, str]:
    color, name = (
        _invented_word(talk) or talk.choice(unknown.COLORS.of(talk.split)),
        noun(talk.choice(list(OBJECTS))),
    )
    return talk.phrase(IMAGE, what=indefinite(f"{color} {name}")), unknown_color_answer()


def _background_request(talk: DialogueState) -> tuple[str, str]:
    where = talk.choice(unknown.BACKGROUNDS.of(talk.split))
    return talk.phrase(
        IMAGE, what=f"{indefinite(noun(talk.choice(list(OBJECTS))))} {where}"
    ), unknown_background_answer()


def _world_question(talk: DialogueState) -> tuple[str, str]:
    return talk.phrase(unknown.QUESTIONS), unknown_fact_answer()


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


def _thing(talk: DialogueState) -> str:
    return _invented_word(talk) or talk.choice(unknown.THINGS.of(talk.split))


def _invented_word(talk: DialogueState) -> str | None:
    """An invented word, sometimes and in training alone."""
    if talk.split != "train" or not talk.bernoulli(INVENTED_SHARE):
        return None
    syllables = int(talk.rng.integers(2, 4))
    return "".join(talk.choice(parts) for _ in range(syllables) for parts in unknown.SYLLABLE_PARTS)
