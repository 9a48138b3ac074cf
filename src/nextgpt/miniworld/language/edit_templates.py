"""Edits of the last medium or of an attached one. One table row per edit."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from nextgpt.miniworld.language import edit_operations
from nextgpt.miniworld.language.dialogue_state import DialogueState, media_answer
from nextgpt.miniworld.language.edit_operations import EditResult
from nextgpt.miniworld.language.templates import TemplateSet, load_templates
from nextgpt.miniworld.language.types import DialogueTurn, difference
from nextgpt.miniworld.specs import MediaSpec


@dataclass(frozen=True)
class EditTemplate:
    """An edit: modalities, operation and templates."""

    modalities: tuple[str, ...]
    apply: Callable[[DialogueState, MediaSpec], EditResult | None]
    """Apply the edit; None if it is impossible for this spec."""
    templates: TemplateSet


IMAGE, AUDIO, VIDEO, VISUAL = ("image",), ("audio",), ("video",), ("image", "video")
_EDITS: dict[str, tuple[tuple[str, ...], Callable[[DialogueState, MediaSpec], EditResult | None]]] = {
    "background": (VISUAL, edit_operations.background),
    "tint": (VISUAL, edit_operations.tint),
    "natural_tint": (VISUAL, edit_operations.natural_tint),
    "object_by_name": (VISUAL, edit_operations.object_by_name),
    "only_object": (VISUAL, edit_operations.only_object),
    "place": (IMAGE, edit_operations.place),
    "place_and_tint": (IMAGE, edit_operations.place_and_tint),
    "smaller": (IMAGE, edit_operations.size("small")),
    "larger": (IMAGE, edit_operations.size("large")),
    "opposite": (VIDEO, edit_operations.opposite),
    "motion": (VIDEO, edit_operations.motion),
    "higher": (AUDIO, edit_operations.pitch_by(1)),
    "lower": (AUDIO, edit_operations.pitch_by(-1)),
    "pitch": (AUDIO, edit_operations.pitch),
    "source": (AUDIO, edit_operations.source),
    "instrument": (AUDIO, edit_operations.instrument),
    "pattern": (AUDIO, edit_operations.pattern),
    "faster": (AUDIO, edit_operations.speed("fast")),
    "slower": (AUDIO, edit_operations.speed("slow")),
}
"""Modalities and operation of each edit, by the name of its templates."""
EDIT_TEMPLATES = tuple(
    EditTemplate(modalities, apply, load_templates("edits")[name]) for name, (modalities, apply) in _EDITS.items()
)


def edit(state: DialogueState, modality: str) -> DialogueTurn | None:
    """Sample an edit of the last medium of ``modality`` or of a new one."""
    old_spec = state.subject(modality)
    templates = [template for template in EDIT_TEMPLATES if modality in template.modalities]
    for index in state.rng.permutation(len(templates)).tolist():
        template = templates[index]
        result = state.first_in_split(partial(_apply_template, state, template, old_spec), lambda result: result.spec)
        if result is not None:
            words = state.user_parts(old_spec, state.phrase(template.templates, **result.values))
            answer = media_answer(state, result.spec, is_edit=True)
            return DialogueTurn(f"edit_{modality}", words, answer, changed_attributes=difference(old_spec, result.spec))
    return None


def _apply_template(state: DialogueState, template: EditTemplate, old_spec: MediaSpec) -> EditResult | None:
    result = template.apply(state, old_spec)
    return result if result is not None and result.spec != old_spec else None
