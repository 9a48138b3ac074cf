"""Requests outside the small world; the answer declines and gives examples of possible requests."""

from __future__ import annotations

from collections.abc import Callable

from nextgpt.miniworld.language.dialogue_state import DialogueState
from nextgpt.miniworld.language.lexicon import MOTION_FORMS, any_of_kind, background_forms, indefinite, listed, noun
from nextgpt.miniworld.language.requests import TEMPLATES
from nextgpt.miniworld.language.templates import load_templates
from nextgpt.miniworld.language.types import DialogueTurn
from nextgpt.miniworld.objects import OBJECTS
from nextgpt.miniworld.specs import BACKGROUNDS, MOTIONS, SOURCES, TINTS

UNKNOWN = load_templates("unknown")
"""Words for what the small world does not contain. Held-out words occur in no training."""
# fmt: off
_ONSETS = (
    "b", "bl", "d", "dr", "f", "fl", "g", "gr", "k", "kl", "m", "n", "p", "qu", "s", "sk", "t", "tr", "v", "w",
    "z", "",
)
_VOWELS = ("a", "e", "i", "o", "u", "ee", "oo")
_CODAS = ("", "b", "ck", "ff", "g", "l", "m", "n", "p", "r", "rt", "sh", "t", "x", "zz")
SYLLABLE_PARTS = (_ONSETS, _VOWELS, _CODAS)
"""Parts of invented words, so that the model declines unknown words beyond these lists."""
# fmt: on
EXAMPLES = "for example cat, piano and car"
SOUND_EXAMPLES = "for example piano, bell and bird"
MOTION_EXAMPLES = "for example spinning, growing and moving left"
KEY_WORDS = (("do not know",),)
INVENTED_SHARE = 0.35
"""Probability, in training, that the requested object or color is an invented word."""


def unknown_image_answer() -> str:
    """Return the answer to a request for an unknown object."""
    return f"I do not know how that looks. I am a small model: I can draw {len(OBJECTS)} things, {EXAMPLES}."


def unknown_sound_answer() -> str:
    """Return the answer to a request for an unknown sound."""
    return f"I do not know how that sounds. I am a small model: I can play {len(SOURCES)} sounds, {SOUND_EXAMPLES}."


def unknown_motion_answer() -> str:
    """Return the answer to a request for an unknown motion."""
    return f"I do not know that motion. I am a small model: I know {len(MOTIONS)} motions, {MOTION_EXAMPLES}."


def unknown_color_answer() -> str:
    """Return the answer to a request for an unknown color."""
    return f"I do not know things in that color. I know {listed(TINTS[1:])}."


def unknown_background_answer() -> str:
    """Return the answer to a request for an unknown background."""
    return f"I do not know that background. I know {listed(BACKGROUNDS)}."


def unknown_fact_answer() -> str:
    """Return the answer to general questions."""
    return f"I do not know that. I am a small model: I only know {len(OBJECTS)} things, {EXAMPLES}."


def out_of_domain(state: DialogueState) -> DialogueTurn:
    """Sample a request or question outside the small world."""
    words, answer = state.choice(_REQUESTS)(state)
    return DialogueTurn("outside", (words,), (answer,), KEY_WORDS)


def _image_request(state: DialogueState) -> tuple[str, str]:
    object_noun = _thing(state)
    if state.bernoulli(0.25):
        object_noun = f"{state.choice(TINTS[1:])} {object_noun}"
    what = indefinite(object_noun)
    if state.bernoulli(0.15):
        noun_phrases = [what, indefinite(noun(state.choice(list(OBJECTS))))]
        what = listed(noun_phrases if state.bernoulli(0.5) else noun_phrases[::-1])
    elif state.bernoulli(0.25):
        what = f"{what} {state.choice(background_forms(state.choice(BACKGROUNDS)))}"
    return state.phrase(TEMPLATES["image"], what=what), unknown_image_answer()


def _video_request(state: DialogueState) -> tuple[str, str]:
    motion = MOTION_FORMS[state.choice(MOTIONS)][0]
    return state.phrase(TEMPLATES["video"], what=f"{indefinite(_thing(state))} {motion}"), unknown_image_answer()


def _audio_request(state: DialogueState) -> tuple[str, str]:
    if state.bernoulli(0.4):
        source = state.choice([kind.name for kind in OBJECTS.values() if kind.sound is None])
        return state.phrase(TEMPLATES["audio"], what=f"the sound of {any_of_kind(source)}"), unknown_sound_answer()
    source = indefinite(state.choice(UNKNOWN["sounds"].of(state.split)))
    return state.phrase(
        TEMPLATES["audio"], what=state.choice((source, f"the sound of {source}"))
    ), unknown_sound_answer()


def _word_request(state: DialogueState) -> tuple[str, str]:
    return state.phrase(
        TEMPLATES["speech"], word=state.choice(UNKNOWN["words"].of(state.split))
    ), unknown_sound_answer()


def _motion_request(state: DialogueState) -> tuple[str, str]:
    object_noun = indefinite(noun(state.choice(list(OBJECTS))))
    return state.phrase(
        TEMPLATES["video"], what=f"{object_noun} {state.choice(UNKNOWN['motions'].of(state.split))}"
    ), unknown_motion_answer()


def _color_request(state: DialogueState) -> tuple[str, str]:
    color, name = (
        _invented_word(state) or state.choice(UNKNOWN["colors"].of(state.split)),
        noun(state.choice(list(OBJECTS))),
    )
    return state.phrase(TEMPLATES["image"], what=indefinite(f"{color} {name}")), unknown_color_answer()


def _background_request(state: DialogueState) -> tuple[str, str]:
    where = state.choice(UNKNOWN["backgrounds"].of(state.split))
    return state.phrase(
        TEMPLATES["image"], what=f"{indefinite(noun(state.choice(list(OBJECTS))))} {where}"
    ), unknown_background_answer()


def _world_question(state: DialogueState) -> tuple[str, str]:
    return state.phrase(UNKNOWN["questions"]), unknown_fact_answer()


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
    return _invented_word(state) or state.choice(UNKNOWN["things"].of(state.split))


def _invented_word(state: DialogueState) -> str | None:
    """Return an invented word, sometimes and in training alone."""
    if state.split != "train" or not state.bernoulli(INVENTED_SHARE):
        return None
    syllables = int(state.rng.integers(2, 4))
    return "".join(state.choice(parts) for _ in range(syllables) for parts in SYLLABLE_PARTS)
