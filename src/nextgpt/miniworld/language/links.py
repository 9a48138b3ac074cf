"""Links between modalities: what a thing in a picture sounds like, what a thing in a sound looks like, how it moves."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from nextgpt.miniworld.language.captions import say_kind
from nextgpt.miniworld.language.changes import MOTION_VERBS
from nextgpt.miniworld.language.dialogue import Say, Shown, Turn
from nextgpt.miniworld.language.outside import unknown_picture, unknown_sound
from nextgpt.miniworld.language.phrasing import Phrasings
from nextgpt.miniworld.language.talk import Talk, introduce
from nextgpt.miniworld.language.wording import background_forms, indefinite, noun, source_phrase
from nextgpt.miniworld.objects import OBJECTS
from nextgpt.miniworld.scene import (
    BACKGROUNDS,
    MOTIONS,
    PATTERNS,
    PITCHES,
    Clip,
    Content,
    Placed,
    Scene,
    Sound,
)

SEEN_TO_HEARD = Phrasings(
    (
        "what does [this|it] sound like?",
        "what sound does [this|it] make?",
        "[please |]play [this|it].",
        "how does [this|it] sound?",
        "I want to hear [this|it].",
        "let me hear how [this|it] sounds.",
        "[can|could] you play [this|it]?",
        "play the sound of [this|it].",
    ),
    held_out=(
        "which sound does [this|it] make?",
        "let me hear [this|it].",
        "[can|could] I hear what [this|it] sounds like?",
    ),
)
SEEN_TO_HEARD_SO = Phrasings(
    (
        "play [this|it] {how}.",
        "let me hear [this|it] {how}.",
        "how does [this|it] sound {how}?",
        "[can|could] you play [this|it] {how}?",
    ),
    held_out=("what does [this|it] sound like {how}?", "I would like to hear [this|it] {how}."),
)
HEARD_TO_SEEN = Phrasings(
    (
        "what does [this|it] look like?",
        "[please |]draw what you hear.",
        "show me what [you|I] hear.",
        "show me what makes this sound.",
        "[can|could] you draw [this|it]?",
        "I want to see what makes this sound.",
        "how does [this|it] look?",
        "show me how [this|it] looks.",
    ),
    held_out=(
        "draw what makes this sound.",
        "[can|could] you show me what [this|it] looks like?",
        "I want to see what I hear.",
    ),
)
HEARD_TO_SEEN_SO = Phrasings(
    (
        "draw what you hear {how}.",
        "show me what makes this sound {how}.",
        "[can|could] you draw what I hear {how}?",
        "what does [this|it] look like {how}?",
    ),
    held_out=("draw what makes this sound {how}.", "[can|could] you show me what you hear {how}?"),
)
SEEN_TO_MOVING = Phrasings(
    (
        "make a video in which it {moves}.",
        "show me a video in which it {moves}.",
        "animate it: it {moves}.",
        "now a video in which it {moves}.",
    ),
    held_out=("I want a video in which it {moves}.", "[can|could] you make a video in which it {moves}?"),
)
MOVING_TO_SEEN = Phrasings(
    (
        "draw the {thing} of the video {where}.",
        "make a picture of the {thing} {where}.",
        "now a picture of it {where}.",
        "a picture of the {thing} {where}[, please|].",
    ),
    held_out=("I want a picture of it {where}.", "[can|could] you draw the {thing} of the video {where}?"),
)
UNLINKED_SHARE = 0.12
"""How often the thing makes no sound, or has no picture, that the small world knows."""
PLAIN_SHARE = 0.5
"""How often a link asks for the default."""


def link(talk: Talk) -> Turn | None:
    """A request for one modality that follows from a medium of another."""
    for index in talk.rng.permutation(len(LINKS)).tolist():
        if turn := LINKS[index](talk):
            return turn
    return None


def _seen_to_heard(talk: Talk) -> Turn | None:
    scene = _subject(talk, "image", lambda: _picture_of_source(talk))
    if not isinstance(scene, Scene) or len(scene.objects) > 1:
        return None
    name = scene.objects[0].object
    source = OBJECTS[name].sound
    if source is None:
        return Turn(
            "outside", talk.about(scene, talk.say(SEEN_TO_HEARD)), (unknown_sound(),), (("do not know",),)
        )
    options = [Option(Sound(source), "", SEEN_TO_HEARD)]
    options += [Option(Sound(source, pitch), f"at a {pitch} pitch", SEEN_TO_HEARD_SO) for pitch in PITCHES]
    options += [
        Option(Sound(source, pattern=p), p, SEEN_TO_HEARD_SO) for p in PATTERNS if p in ("rising", "falling")
    ]
    return _answered(talk, scene, options, f"This is {indefinite(noun(name))}.")


def _heard_to_seen(talk: Talk) -> Turn | None:
    sound = _subject(talk, "audio", lambda: talk.draw("audio"))
    if not isinstance(sound, Sound):
        return None
    names = [kind.name for kind in OBJECTS.values() if kind.sound == sound.source]
    if not names:
        return Turn(
            "outside", talk.about(sound, talk.say(HEARD_TO_SEEN)), (unknown_picture(),), (("do not know",),)
        )
    options = [Option(Scene((Placed(names[0]),)), "", HEARD_TO_SEEN)]
    options += [
        Option(
            Scene((Placed(names[0]),), background),
            talk.choose(background_forms(background)),
            HEARD_TO_SEEN_SO,
        )
        for background in BACKGROUNDS
    ]
    return _answered(talk, sound, options, f"This is {source_phrase(sound.source)}.")


def _seen_to_moving(talk: Talk) -> Turn | None:
    scene = _subject(talk, "image", lambda: talk.draw("image"))
    if not isinstance(scene, Scene) or len(scene.objects) > 1:
        return None
    placed = scene.objects[0]
    options = [
        Option(
            Clip(placed.object, placed.tint, scene.background, motion), _third_person(motion), SEEN_TO_MOVING
        )
        for motion in MOTIONS
    ]
    return _answered(talk, scene, options, "")


def _moving_to_seen(talk: Talk) -> Turn | None:
    clip = _subject(talk, "video", lambda: talk.draw("video"))
    if not isinstance(clip, Clip):
        return None
    options = [
        Option(
            Scene((Placed(clip.object, clip.tint),), background),
            talk.choose(background_forms(background)),
            MOVING_TO_SEEN,
        )
        for background in BACKGROUNDS
    ]
    return _answered(talk, clip, options, "", thing=say_kind(clip.object, "natural", talk.rng))


LINKS: tuple[Callable[[Talk], Turn | None], ...] = (
    _seen_to_heard,
    _seen_to_heard,
    _heard_to_seen,
    _heard_to_seen,
    _seen_to_moving,
    _moving_to_seen,
)


@dataclass(frozen=True)
class Option:
    """One content that could be asked for, how it is said, and in which phrasings."""

    content: Content
    how: str
    phrasings: Phrasings


def _answered(talk: Talk, given: Content, options: list[Option], what: str, **values: str) -> Turn | None:
    """Ask for one of ``options`` that belongs to the split; ``what`` names what was given."""
    suiting = [option for option in options if talk.suits(option.content)]
    if not suiting:
        return None
    option = suiting[0] if talk.chance(PLAIN_SHARE) else talk.choose(suiting)
    said = dict.fromkeys(("how", "moves", "where"), option.how)
    words = talk.about(given, talk.say(option.phrasings, **said, **values))
    here: tuple[Say, ...] = (f"{what} Here {introduce(option.content)}.".strip(), Shown(option.content))
    return Turn("link", words, here)


def _subject(talk: Talk, modality: str, draw: Callable[[], Content | None]) -> Content | None:
    """The medium that was said last, where it is of ``modality``, otherwise a new one."""
    return talk.media[-1].content if talk.media and talk.media[-1].modality == modality else draw()


def _picture_of_source(talk: Talk) -> Content | None:
    """A picture of one thing, mostly of one that can be heard."""
    is_linked = not talk.chance(UNLINKED_SHARE)

    def draw() -> Scene:
        kinds = [kind for kind in OBJECTS.values() if (kind.sound is not None) == is_linked]
        kind = talk.choose(kinds)
        return Scene((Placed(kind.name, talk.choose(kind.tints)),), talk.choose(BACKGROUNDS))

    return talk.first_suiting(draw, lambda scene: scene)


def _third_person(motion: str) -> str:
    verb, _, direction = MOTION_VERBS.get(motion, motion).partition(" ")
    return f"{verb}s {direction}".strip()
