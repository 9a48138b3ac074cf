"""Requests for one or several media, and their answers."""

from __future__ import annotations

from nextgpt.miniworld.language.dialogue_state import DialogueState, media_answer
from nextgpt.miniworld.language.lexicon import indefinite, noun
from nextgpt.miniworld.language.request_specs import sample_request_spec
from nextgpt.miniworld.language.templates import load_templates
from nextgpt.miniworld.language.types import DialogueTurn
from nextgpt.miniworld.objects import OBJECTS
from nextgpt.miniworld.specs import WORD_SOURCES, ObjectSpec, SceneSpec, SoundSpec

TEMPLATES = load_templates("requests")

_REQUEST_CLAUSES = {"image": "[draw|paint] {what}", "audio": "play {what}", "video": "make a [video|clip] of {what}"}
"""Clause per modality in a request for several media."""


def request(state: DialogueState, modality: str) -> DialogueTurn | None:
    """Sample a request for one medium."""
    requested = sample_request_spec(state, modality)
    if requested is None:
        return None
    words = state.phrase(TEMPLATES[modality], what=requested.phrase)
    spec = requested.spec
    if isinstance(spec, SoundSpec) and spec == SoundSpec(spec.source) and spec.source in WORD_SOURCES:
        words = state.phrase(TEMPLATES["speech"], word=spec.source.removeprefix("the word "))
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
    # Insert the clauses before expansion, since they contain alternatives too.
    templates = TEMPLATES["several"].map(
        lambda template: template.replace("{first}", clauses[0]).replace("{second}", clauses[1])
    )
    words = state.phrase(templates)
    return DialogueTurn("text_to_several", (words,), media_answer(state, *[request.spec for request in requests]))


def _request_both(state: DialogueState) -> DialogueTurn:
    """Sample a request for an image and the sound of one object."""
    pairs = [(SceneSpec((ObjectSpec(kind.name),)), SoundSpec(kind.sound)) for kind in OBJECTS.values() if kind.sound]
    # Of the test split one of both is enough: hardly any thing has both held out.
    require = any if state.split == "test" else all
    scene, sound = state.choice([pair for pair in pairs if require(map(state.in_split, pair))])
    words = state.phrase(TEMPLATES["both"], thing=indefinite(noun(scene.objects[0].object)))
    return DialogueTurn("text_to_several", (words,), media_answer(state, scene, sound))
