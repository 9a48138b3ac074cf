"""Requests for one medium, or for several at once, and the answers that show and play what was asked for."""

from __future__ import annotations

from nextgpt.miniworld.language.dialogue_state import DialogueState, media_answer
from nextgpt.miniworld.language.lexicon import (
    indefinite,
    noun,
)
from nextgpt.miniworld.language.request_specs import sample_request_spec
from nextgpt.miniworld.language.templates import TemplateSet
from nextgpt.miniworld.language.types import DialogueTurn
from nextgpt.miniworld.objects import OBJECTS
from nextgpt.miniworld.specs import (
    WORD_SOURCES,
    ObjectSpec,
    SceneSpec,
    SoundSpec,
)

IMAGE = TemplateSet(
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
AUDIO = TemplateSet(
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
VIDEO = TemplateSet(
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
SPEECH = TemplateSet(
    ("[please |]say {word}.", "[can|could] you say {word}?", "let me hear you say {word}."),
    held_out=("I want you to say {word}.", "[can|could] I hear you say {word}?"),
)
SEVERAL = TemplateSet(
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
_REQUEST_CLAUSES = {
    "image": "[draw|paint] {what}",
    "audio": "play {what}",
    "video": "make a [video|clip] of {what}",
}
"""Each modality's part of a request for several."""
BOTH = TemplateSet(
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


def request(state: DialogueState, modality: str) -> DialogueTurn | None:
    """A request for one medium."""
    wish = sample_request_spec(state, modality)
    if wish is None:
        return None
    phrasings = {"image": IMAGE, "audio": AUDIO, "video": VIDEO}[modality]
    words = state.phrase(phrasings, what=wish.phrase)
    spec = wish.spec
    if isinstance(spec, SoundSpec) and spec == SoundSpec(spec.source) and spec.source in WORD_SOURCES:
        words = state.phrase(SPEECH, word=spec.source.removeprefix("the word "))
    return DialogueTurn(f"text_to_{modality}", (words,), media_answer(state, spec))


def request_several(state: DialogueState) -> DialogueTurn | None:
    """A request for two media."""
    if state.bernoulli(0.35):
        return _request_both(state)
    modalities = state.rng.permutation(["image", "audio", "video"]).tolist()[:2]
    wishes = [wish for modality in modalities if (wish := sample_request_spec(state, modality))]
    if len(wishes) < len(modalities):
        return None
    orders = [
        _REQUEST_CLAUSES[m].replace("{what}", wish.phrase) for m, wish in zip(modalities, wishes, strict=True)
    ]
    words = state.phrase(_fill_clauses(SEVERAL, *orders))
    return DialogueTurn("text_to_several", (words,), media_answer(state, *[wish.spec for wish in wishes]))


def _fill_clauses(phrasings: TemplateSet, first: str, second: str) -> TemplateSet:
    """Put orders into patterns before their alternatives are chosen, as orders have alternatives too."""
    trained, held_out = (
        tuple(pattern.replace("{first}", first).replace("{second}", second) for pattern in patterns)
        for patterns in (phrasings.train, phrasings.held_out)
    )
    return TemplateSet(trained, held_out)


def _request_both(state: DialogueState) -> DialogueTurn:
    """A picture and a sound of one thing."""
    pairs = [
        (SceneSpec((ObjectSpec(kind.name),)), SoundSpec(kind.sound))
        for kind in OBJECTS.values()
        if kind.sound
    ]
    # Of the test split one of both is enough: hardly any thing has both held out.
    suit = any if state.split == "test" else all
    picture, sound = state.choice([pair for pair in pairs if suit(map(state.in_split, pair))])
    words = state.phrase(BOTH, thing=indefinite(noun(picture.objects[0].object)))
    return DialogueTurn("text_to_several", (words,), media_answer(state, picture, sound))
