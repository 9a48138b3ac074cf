"""Questions and edits that cannot be answered: no medium so far, or the object is not in the image."""

from __future__ import annotations

from dataclasses import dataclass

from nextgpt.miniworld.language.dialogue_state import MEDIUM_NOUNS, DialogueState
from nextgpt.miniworld.language.lexicon import noun
from nextgpt.miniworld.language.templates import TemplateSet, load_templates
from nextgpt.miniworld.language.types import DialogueTurn
from nextgpt.miniworld.objects import OBJECTS
from nextgpt.miniworld.specs import TINTS, SceneSpec


@dataclass(frozen=True)
class MissingContext:
    """A table row: templates that presuppose a medium, and the answer."""

    templates: TemplateSet
    answer: str
    key_phrase: str


_TEMPLATES = load_templates("missing_context")
MISSING_CONTEXTS = {
    "image": MissingContext(_TEMPLATES["image"], "I see no picture yet. Please show me one.", "no picture"),
    "audio": MissingContext(_TEMPLATES["audio"], "I hear no sound yet. Please play me one.", "no sound"),
    "video": MissingContext(_TEMPLATES["video"], "I see no video yet. Please show me one.", "no video"),
}


def missing_context(state: DialogueState) -> DialogueTurn | None:
    """Sample a question or an edit without its medium."""
    if state.bernoulli(0.4):
        return _false_premise(state)
    absent = [modality for modality in MEDIUM_NOUNS if state.last_spec(modality) is None]
    if not absent:
        return None
    row = MISSING_CONTEXTS[state.choice(absent)]
    words = state.phrase(row.templates, thing=noun(state.choice(list(OBJECTS))), color=state.choice(TINTS[1:]))
    return DialogueTurn("missing", (words,), (row.answer,), ((row.key_phrase,),))


def _false_premise(state: DialogueState) -> DialogueTurn:
    """Sample a question about an object that the image does not contain."""
    scene = state.subject("image")
    assert isinstance(scene, SceneSpec)
    name = state.choice(sorted(OBJECTS.keys() - {obj.object for obj in scene.objects}))
    words = state.phrase(_TEMPLATES["false_premise"], thing=noun(name), color=state.choice(TINTS[1:]))
    return DialogueTurn(
        "missing", state.user_parts(scene, words), (f"I see no {noun(name)}.",), ((f"no {noun(name)}",),)
    )
