"""Turns about a medium: descriptions and single questions."""

from __future__ import annotations

from collections.abc import Callable, Container, Sequence

from nextgpt.miniworld.language.descriptions import describe
from nextgpt.miniworld.language.dialogue_state import MEDIUM_NOUNS, DialogueState
from nextgpt.miniworld.language.lexicon import MOTION_FORMS, indefinite, noun, object_names
from nextgpt.miniworld.language.question_templates import QUESTION_TEMPLATES
from nextgpt.miniworld.language.templates import load_templates
from nextgpt.miniworld.language.types import DialogueTurn, KeyWordGroups, MediaPart
from nextgpt.miniworld.specs import ClipSpec, MediaSpec, SceneSpec, SoundSpec

TEMPLATES = load_templates("media_questions")

COMPARISON_SHARE = 0.06
"""Fraction of image questions that compare two images."""


def description(state: DialogueState, modality: str) -> DialogueTurn:
    """Sample a request to describe a medium."""
    spec = state.subject(modality)
    words = state.phrase(TEMPLATES[f"describe_{modality}"], medium=state.choice(MEDIUM_NOUNS[modality]))
    answer = f"I {'hear' if isinstance(spec, SoundSpec) else 'see'} {describe(spec)}."
    return DialogueTurn(f"{modality}_to_text", state.user_parts(spec, words), (answer,), _main_key_words(spec))


def _main_key_words(spec: MediaSpec) -> KeyWordGroups:
    """Return the minimum content of a description."""
    if isinstance(spec, SoundSpec):
        return ((spec.source,),)
    if isinstance(spec, ClipSpec):
        return (MOTION_FORMS[spec.motion][0],), object_names(spec.object)
    return tuple(dict.fromkeys(object_names(obj.object) for obj in spec.objects))


def question(state: DialogueState, modality: str | None = None) -> DialogueTurn | None:
    """Sample a question about the last medium of ``modality`` or about a new one."""
    modality = modality or state.choice(tuple(MEDIUM_NOUNS))
    if modality == "image" and state.bernoulli(COMPARISON_SHARE):
        return comparison(state)
    return question_about(state, state.subject(modality), modality)


def question_about(
    state: DialogueState, spec: MediaSpec, modality: str, functions: Container[Callable] | None = None
) -> DialogueTurn | None:
    """Sample a question about ``spec``, restricted to those answered by ``functions`` unless None."""
    templates = [
        template
        for template in QUESTION_TEMPLATES
        if modality in template.modalities and (functions is None or template.ask in functions)
    ]
    for index in state.rng.permutation(len(templates)).tolist():
        if answer := templates[index].ask(state, spec):
            words = state.phrase(
                templates[index].templates, medium=state.choice(MEDIUM_NOUNS[modality]), **answer.values
            )
            return DialogueTurn("question", state.user_parts(spec, words), (answer.answer,), answer.key_words)
    return None


def comparison(state: DialogueState, earlier_scenes: Sequence[MediaSpec] = ()) -> DialogueTurn | None:
    """Sample a question which of two images shows an object. ``known`` are images of an earlier turn."""
    scenes = earlier_scenes or [state.sample("image") for _ in range(2)]
    kinds = [{obj.object for obj in scene.objects} for scene in scenes if isinstance(scene, SceneSpec)]
    if kinds[0] & kinds[1]:
        return None
    position = int(state.bernoulli(0.5))
    thing = indefinite(noun(state.choice(sorted(kinds[position]))))
    words = state.phrase(TEMPLATES["compare"], thing=thing, medium=state.choice(MEDIUM_NOUNS["image"]))
    answer = ("first", "second")[position]
    input_media = () if earlier_scenes else tuple(map(MediaPart, scenes))
    return DialogueTurn("question", (*input_media, words), (f"The {answer} one.",), ((answer,),))
