"""Requests for one or several media, and their answers."""

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
"""Clause per modality in a request for several media."""
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
    """Sample a request for one medium."""
    requested = sample_request_spec(state, modality)
    if requested is None:
        return None
    templates = {"image": IMAGE, "audio": AUDIO, "video": VIDEO}[modality]
    words = state.phrase(templates, what=requested.phrase)
    spec = requested.spec
    if isinstance(spec, SoundSpec) and spec == SoundSpec(spec.source) and spec.source in WORD_SOURCES:
        words = state.phrase(SPEECH, word=spec.source.removeprefix("the word "))
    return DialogueTurn(f"text_to_{modality}", (words,), media_answer(state, spec))


def request_several(state: DialogueState) -> DialogueTurn | None:
    """Sample a request for two media."""
    if state.bernoulli(0.35):
        return _request_both(state)
    modalities = state.rng.permutation(["image", "audio", "video"]).tolist()[:2]
    requests = [request for modality in modalities if (request := sample_request_spec(state, modality))]
    if len(requests) < len(modalities):
        return None
    clauses = [
        _REQUEST_CLAUSES[modality].replace("{what}", request.phrase)
        for modality, request in zip(modalities, requests, strict=True)
    ]
    words = state.phrase(_fill_clauses(SEVERAL, *clauses))
    return DialogueTurn(
        "text_to_several", (words,), media_answer(state, *[request.spec for request in requests])
    )


def _fill_clauses(templates: TemplateSet, first: str, second: str) -> TemplateSet:
    """Insert clauses into templates before expansion, since clauses contain alternatives too."""
    train, held_out = (
        tuple(pattern.replace("{first}", first).replace("{second}", second) for pattern in patterns)
        for patterns in (templates.train, templates.held_out)
    )
    return TemplateSet(train, held_out)


def _request_both(state: DialogueState) -> DialogueTurn:
    """Sample a request for an image and the sound of one object."""
    pairs = [
        (SceneSpec((ObjectSpec(kind.name),)), SoundSpec(kind.sound))
        for kind in OBJECTS.values()
        if kind.sound
    ]
    # Of the test split one of both is enough: hardly any thing has both held out.
    require = any if state.split == "test" else all
    scene, sound = state.choice([pair for pair in pairs if require(map(state.in_split, pair))])
    words = state.phrase(BOTH, thing=indefinite(noun(scene.objects[0].object)))
    return DialogueTurn("text_to_several", (words,), media_answer(state, scene, sound))
