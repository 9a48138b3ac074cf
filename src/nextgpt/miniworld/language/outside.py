"""What lies outside the small world, answered honestly: what the model does not know, and how much it does."""

from __future__ import annotations

from collections.abc import Callable

from nextgpt.miniworld.language import unknown
from nextgpt.miniworld.language.dialogue import Turn
from nextgpt.miniworld.language.requests import AUDIO, IMAGE, SPEECH, VIDEO
from nextgpt.miniworld.language.talk import Talk
from nextgpt.miniworld.language.wording import MOTION_FORMS, background_forms, indefinite, listed, noun, one
from nextgpt.miniworld.objects import OBJECTS
from nextgpt.miniworld.scene import BACKGROUNDS, MOTIONS, SOURCES, TINTS

EXAMPLES = "for example cat, piano and car"
SOUND_EXAMPLES = "for example piano, bell and bird"
MOTION_EXAMPLES = "for example spinning, growing and moving left"
KEY_WORDS = (("do not know",),)
INVENTED_SHARE = 0.35
"""How often, in training, the thing or colour that is asked for has an invented name."""


def unknown_picture() -> str:
    """The answer where there is no picture of what was asked for."""
    return f"I do not know how that looks. I am a small model: I can draw {len(OBJECTS)} things, {EXAMPLES}."


def unknown_sound() -> str:
    """The answer where there is no sound of what was asked for."""
    return f"I do not know how that sounds. I am a small model: I can play {len(SOURCES)} sounds, {SOUND_EXAMPLES}."


def unknown_motion() -> str:
    """The answer where a motion is asked for that there is not."""
    return f"I do not know that motion. I am a small model: I know {len(MOTIONS)} motions, {MOTION_EXAMPLES}."


def unknown_color() -> str:
    """The answer where a colour is asked for that things are not shown in."""
    return f"I do not know things in that color. I know {listed(TINTS[1:])}."


def unknown_background() -> str:
    """The answer where a background is asked for that there is not."""
    return f"I do not know that background. I know {listed(BACKGROUNDS)}."


def unknown_fact() -> str:
    """The answer to questions about the large world."""
    return f"I do not know that. I am a small model: I only know {len(OBJECTS)} things, {EXAMPLES}."


def outside(talk: Talk) -> Turn:
    """A request or question that the small world has no answer to."""
    words, answer = talk.choose(_ASKED)(talk)
    return Turn("outside", (words,), (answer,), KEY_WORDS)


def _picture(talk: Talk) -> tuple[str, str]:
    thing = _thing(talk)
    if talk.chance(0.25):
        thing = f"{talk.choose(TINTS[1:])} {thing}"
    what = indefinite(thing)
    if talk.chance(0.15):
        both = [what, indefinite(noun(talk.choose(list(OBJECTS))))]
        what = listed(both if talk.chance(0.5) else both[::-1])
    elif talk.chance(0.25):
        what = f"{what} {talk.choose(background_forms(talk.choose(BACKGROUNDS)))}"
    return talk.say(IMAGE, what=what), unknown_picture()


def _video(talk: Talk) -> tuple[str, str]:
    motion = MOTION_FORMS[talk.choose(MOTIONS)][0]
    return talk.say(VIDEO, what=f"{indefinite(_thing(talk))} {motion}"), unknown_picture()


def _sound(talk: Talk) -> tuple[str, str]:
    if talk.chance(0.4):
        source = talk.choose([kind.name for kind in OBJECTS.values() if kind.sound is None])
        return talk.say(AUDIO, what=f"the sound of {one(source)}"), unknown_sound()
    source = indefinite(talk.choose(unknown.SOUND_MAKERS.of(talk.split)))
    return talk.say(AUDIO, what=talk.choose((source, f"the sound of {source}"))), unknown_sound()


def _word(talk: Talk) -> tuple[str, str]:
    return talk.say(SPEECH, word=talk.choose(unknown.WORDS.of(talk.split))), unknown_sound()


def _motion(talk: Talk) -> tuple[str, str]:
    thing = indefinite(noun(talk.choose(list(OBJECTS))))
    return talk.say(VIDEO, what=f"{thing} {talk.choose(unknown.MOTIONS.of(talk.split))}"), unknown_motion()


def _color(talk: Talk) -> tuple[str, str]:
    color, name = (
        _invented(talk) or talk.choose(unknown.COLORS.of(talk.split)),
        noun(talk.choose(list(OBJECTS))),
    )
    return talk.say(IMAGE, what=indefinite(f"{color} {name}")), unknown_color()


def _background(talk: Talk) -> tuple[str, str]:
    where = talk.choose(unknown.BACKGROUNDS.of(talk.split))
    return talk.say(
        IMAGE, what=f"{indefinite(noun(talk.choose(list(OBJECTS))))} {where}"
    ), unknown_background()


def _question(talk: Talk) -> tuple[str, str]:
    return talk.say(unknown.QUESTIONS), unknown_fact()


_ASKED: tuple[Callable[[Talk], tuple[str, str]], ...] = (
    *[_picture] * 5,
    _video,
    *[_sound] * 3,
    _word,
    _motion,
    _color,
    _background,
    *[_question] * 4,
)


def _thing(talk: Talk) -> str:
    return _invented(talk) or talk.choose(unknown.THINGS.of(talk.split))


def _invented(talk: Talk) -> str | None:
    """An invented word, sometimes and in training alone."""
    if talk.split != "train" or not talk.chance(INVENTED_SHARE):
        return None
    syllables = int(talk.rng.integers(2, 4))
    return "".join(talk.choose(parts) for _ in range(syllables) for parts in unknown.SYLLABLE_PARTS)
