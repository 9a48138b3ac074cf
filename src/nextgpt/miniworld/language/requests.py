"""Requests for one medium, or for several at once, and the answers that show and play what was asked for."""

from __future__ import annotations

from nextgpt.miniworld.language.dialogue import Turn
from nextgpt.miniworld.language.phrasing import Phrasings
from nextgpt.miniworld.language.talk import Talk, present
from nextgpt.miniworld.language.wishes import wish_for
from nextgpt.miniworld.language.wording import (
    indefinite,
    noun,
)
from nextgpt.miniworld.objects import OBJECTS
from nextgpt.miniworld.scene import (
    WORD_SOURCES,
    Placed,
    Scene,
    Sound,
)

IMAGE = Phrasings(
    (
        "[please |]draw {what}[ for me|].",
        "paint {what}[, please|].",
        "show me {what}[, please|].",
        "[please |]make [a picture|an image] of {what}.",
        "I [want|would like] to see {what}.",
        "{what}[, please|].",
        "[can|could] you [draw|paint] {what}[ for me|]?",
        "I need [an image|a picture] of {what}.",
        "image of {what}",
        "[can|could] I see {what}?",
        "draw me {what}.",
    ),
    held_out=(
        "I want [a picture|an image] of {what}.",
        "[can|could] you show me {what}[, please|]?",
        "please show me [a picture|an image] of {what}.",
        "I would like you to draw {what}.",
    ),
)
AUDIO = Phrasings(
    (
        "[please |]play {what}[ for me|].",
        "let me hear {what}[, please|].",
        "I [want|would like] to hear {what}.",
        "[can|could] you play {what}[ for me|]?",
        "I need to hear {what}.",
        "[can|could] I hear {what}?",
        "play me {what}.",
    ),
    held_out=(
        "[can|could] you let me hear {what}[, please|]?",
        "I want you to play {what}.",
        "please let me hear {what}.",
        "I would like you to play {what}.",
    ),
)
VIDEO = Phrasings(
    (
        "[please |]make a [video|clip] of {what}[ for me|].",
        "show me a [video|clip] of {what}.",
        "show me {what}.",
        "I [want|would like] to see {what}.",
        "I need a [video|clip] of {what}.",
        "[a video|a clip] of {what}[, please|].",
        "[can|could] you make a [video|clip] of {what}?",
        "film {what}.",
        "[please |]animate {what}.",
    ),
    held_out=(
        "I want a [video|clip] of {what}.",
        "[can|could] you show me a [video|clip] of {what}?",
        "please film {what}[ for me|].",
        "I would like a [video|clip] of {what}, please.",
    ),
)
SPEECH = Phrasings(
    ("[please |]say {word}.", "[can|could] you say {word}?", "let me hear you say {word}."),
    held_out=("I want you to say {word}.", "[can|could] I hear you say {word}?"),
)
SEVERAL = Phrasings(
    (
        "{first} and {second}[, please|].",
        "[please |]{first}, then {second}.",
        "{first} and also {second}.",
        "[can|could] you {first} and {second}?",
        "I want you to {first} and then {second}.",
    ),
    held_out=(
        "[please |]{first} and then {second}.",
        "[can|could] you {first} and also {second}?",
        "first {first}, then {second}.",
    ),
)
_ORDERS = {"image": "[draw|paint] {what}", "audio": "play {what}", "video": "make a [video|clip] of {what}"}
"""Each modality's part of a request for several."""
BOTH = Phrasings(
    (
        "show me {thing} and how it sounds.",
        "[a picture|an image] and a sound of {thing}[, please|].",
        "draw {thing} and play its sound.",
        "I want to see and hear {thing}.",
        "[can|could] you draw and play {thing}?",
        "[a picture|an image] of {thing} and its sound[, please|].",
    ),
    held_out=(
        "I want to see {thing} and hear its sound.",
        "draw and play {thing}[, please|].",
        "please show me {thing} and play its sound.",
    ),
)


def request(talk: Talk, modality: str) -> Turn | None:
    """A request for one medium."""
    wish = wish_for(talk, modality)
    if wish is None:
        return None
    phrasings = {"image": IMAGE, "audio": AUDIO, "video": VIDEO}[modality]
    words = talk.say(phrasings, what=wish.words)
    content = wish.content
    if isinstance(content, Sound) and content == Sound(content.source) and content.source in WORD_SOURCES:
        words = talk.say(SPEECH, word=content.source.removeprefix("the word "))
    return Turn(f"text_to_{modality}", (words,), present(talk, content))


def request_several(talk: Talk) -> Turn | None:
    """A request for two media."""
    if talk.chance(0.35):
        return _request_both(talk)
    modalities = talk.rng.permutation(["image", "audio", "video"]).tolist()[:2]
    wishes = [wish for modality in modalities if (wish := wish_for(talk, modality))]
    if len(wishes) < len(modalities):
        return None
    orders = [_ORDERS[m].replace("{what}", wish.words) for m, wish in zip(modalities, wishes, strict=True)]
    words = talk.say(_filled(SEVERAL, *orders))
    return Turn("text_to_several", (words,), present(talk, *[wish.content for wish in wishes]))


def _filled(phrasings: Phrasings, first: str, second: str) -> Phrasings:
    """Put orders into patterns before their alternatives are chosen, as orders have alternatives too."""
    trained, held_out = (
        tuple(pattern.replace("{first}", first).replace("{second}", second) for pattern in patterns)
        for patterns in (phrasings.trained, phrasings.held_out)
    )
    return Phrasings(trained, held_out)


def _request_both(talk: Talk) -> Turn:
    """A picture and a sound of one thing."""
    pairs = [(Scene((Placed(kind.name),)), Sound(kind.sound)) for kind in OBJECTS.values() if kind.sound]
    # Of the test split one of both is enough: hardly any thing has both held out.
    suit = any if talk.split == "test" else all
    picture, sound = talk.choose([pair for pair in pairs if suit(map(talk.suits, pair))])
    words = talk.say(BOTH, thing=indefinite(noun(picture.objects[0].object)))
    return Turn("text_to_several", (words,), present(talk, picture, sound))
