"""Edits of the last medium or of an attached one. One table row per edit."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from nextgpt.miniworld.language import edit_operations
from nextgpt.miniworld.language.dialogue_state import DialogueState, media_answer
from nextgpt.miniworld.language.edit_operations import EditResult
from nextgpt.miniworld.language.templates import TemplateSet
from nextgpt.miniworld.language.types import DialogueTurn, difference
from nextgpt.miniworld.specs import MediaSpec


@dataclass(frozen=True)
class EditTemplate:
    """One edit: modalities, operation and templates."""

    modalities: tuple[str, ...]
    apply: Callable[[DialogueState, MediaSpec], EditResult | None]
    """Apply the edit; None if it is impossible for this spec."""
    templates: TemplateSet


VISUAL, AUDIO = ("image", "video"), ("audio",)
EDIT_TEMPLATES = (
    EditTemplate(
        VISUAL,
        edit_operations.background,
        TemplateSet(
            (
                "make the background {background}.",
                "change the background to {background}.",
                "put {it} {where}.",
                "now {where}[, please|].",
                "I want to see {it} {where}.",
                "use {background} as the background.",
                "the same {where}.",
                "the same, but {where}.",
                "{where} instead[, please|].",
                "[can|could] you make the background {background}?",
            ),
            held_out=(
                "[can|could] you change the background to {background}?",
                "I want {it} {where}.",
                "and now {where} instead.",
            ),
        ),
    ),
    EditTemplate(
        VISUAL,
        edit_operations.tint,
        TemplateSet(
            (
                "make {it} {color}.",
                "color {it} {color}.",
                "paint {it} {color}.",
                "[can|could] you make {it} {color}?",
                "{it} should be {color}.",
                "I want {it} to be {color}.",
                "give {it} the color {color}.",
                "I want you to paint {it} {color}.",
                "[can|could] you color {it} {color}?",
                "now make {it} {color}[, please|].",
                "I would like {it} to be {color}.",
                "please color {it} {color}.",
                "[can|could] you give {it} the color {color}?",
                "let {it} be {color}.",
                "I want to see {it} painted {color}.",
                "turn {it} {color}.",
                "[can|could] you turn {it} {color}?",
                "I want {it} in {color}.",
            ),
            held_out=(
                "please paint {it} {color}.",
                "I want {it} {color}.",
                "[can|could] you paint {it} {color}?",
            ),
        ),
    ),
    EditTemplate(
        VISUAL,
        edit_operations.natural_tint,
        TemplateSet(
            (
                "give {it} its natural color.",
                "show {it} in its natural color.",
                "[can|could] you give {it} its natural color?",
                "paint {it} in its natural color.",
                "{it} should have its natural color.",
                "I want {it} in its natural color[ again|].",
                "[can|could] you paint {it} in its natural color?",
                "let {it} have its natural color[ again|].",
            ),
            held_out=(
                "make {it} its natural color[ again|].",
                "[can|could] you show {it} in its natural color?",
            ),
        ),
    ),
    EditTemplate(
        VISUAL,
        edit_operations.object_by_name,
        TemplateSet(
            (
                "replace the {old} with {new}.",
                "turn {it} into {new}.",
                "I want {new} instead of the {old}.",
                "make {it} {new}.",
                "change {it} to {new}.",
                "change the {old} into {new}.",
                "show me {new} instead of the {old}.",
                "now {new} instead of the {old}.",
                "draw {new} instead of the {old}.",
                "I want {it} to be {new}.",
                "[can|could] you change the {old} into {new}?",
                "[can|could] you make {it} {new}?",
                "{new} instead of the {old}[, please|].",
                "[can|could] you replace the {old} with {new}?",
                "put {new} where the {old} is.",
                "I would like {new} in place of the {old}.",
                "let the {old} become {new}.",
                "show me {new}, not the {old}.",
                "swap the {old} for {new}.",
                "take away the {old} and put {new} there.",
                "please change {it} into {new}.",
                "please replace the {old} with {new}.",
                "I want to see {new} instead of the {old}.",
                "[can|could] you draw {new} instead of the {old}?",
                "the {old} should be {new}.",
                "exchange the {old} for {new}.",
                "show {new} where the {old} is.",
            ),
            held_out=(
                "[can|could] you turn {it} into {new}?",
                "show {new} instead of the {old}.",
                "change the {old} to {new}.",
            ),
        ),
    ),
    EditTemplate(
        VISUAL,
        edit_operations.only_object,
        TemplateSet(
            (
                "[now|and now] with {new} instead.",
                "the same with {new}[, please|].",
                "take {new} instead.",
                "the same again, with {new}.",
                "I want {new} now.",
                "I want the same with {new}.",
                "{new} instead[, please|].",
                "now with {new}[, please|].",
                "[can|could] you take {new}?",
            ),
            held_out=(
                "the same, but with {new}.",
                "I want {new} instead.",
                "[can|could] you take {new} instead?",
            ),
        ),
    ),
    EditTemplate(
        ("image",),
        edit_operations.place,
        TemplateSet(
            (
                "move {it} {to}.",
                "put {it} {at}.",
                "place {it} {at}.",
                "[can|could] you move {it} {to}?",
                "{it} should be {at}.",
                "shift {it} {to}.",
                "please put {it} {at}.",
                "[can|could] you place {it} {at}?",
                "I want you to put {it} {at}.",
                "I want {it} to be {at}.",
                "now {at}[, please|].",
            ),
            held_out=("I want {it} {at}.", "[can|could] you put {it} {at}?", "please place {it} {at}."),
        ),
    ),
    EditTemplate(
        ("image",),
        edit_operations.place_and_tint,
        TemplateSet(
            (
                "move {it} {to} and make it {color}.",
                "make {it} {color} and put it {at}.",
                "paint {it} {color} and place it {at}.",
                "put {it} {at} and paint it {color}.",
                "place {it} {at} and make it {color}.",
                "paint {it} {color} and move it {to}.",
                "{it} should be {color} and {at}.",
            ),
            held_out=("put {it} {at} and make it {color}.", "move {it} {to} and paint it {color}."),
        ),
    ),
    EditTemplate(
        ("image",),
        edit_operations.size("small"),
        TemplateSet(
            (
                "make {it} small[er|].",
                "[can|could] you make {it} smaller?",
                "{it} should be smaller.",
                "smaller[, please|].",
                "{it} is too big.",
                "I want {it} to be small.",
            ),
            held_out=("I want {it} small[er|].", "please make {it} small[er|]."),
        ),
    ),
    EditTemplate(
        ("image",),
        edit_operations.size("large"),
        TemplateSet(
            (
                "make {it} big[ger|].",
                "[can|could] you make {it} bigger?",
                "{it} should be larger.",
                "bigger[, please|].",
                "{it} is too small.",
                "I want {it} to be large.",
                "make {it} large[r|].",
            ),
            held_out=("I want {it} big[ger|].", "please make {it} large[r|]."),
        ),
    ),
    EditTemplate(
        ("video",),
        edit_operations.opposite,
        TemplateSet(
            (
                "the other way[, please|].",
                "now the other way[ around|].",
                "in the other direction[, please|].",
                "do it the other way around.",
                "[can|could] you make it go the other way?",
            ),
            held_out=("[can|could] you do it the other way[ around|]?", "now in the other direction."),
        ),
    ),
    EditTemplate(
        ("video",),
        edit_operations.motion,
        TemplateSet(
            (
                "let {it} {move}.",
                "make {it} {move}.",
                "now {it} should {move}.",
                "I want {it} to {move}.",
                "[can|could] you make {it} {move}?",
            ),
            held_out=("[can|could] you let {it} {move}?", "please make {it} {move}.", "now let {it} {move}."),
        ),
    ),
    EditTemplate(
        AUDIO,
        edit_operations.pitch_by(1),
        TemplateSet(
            (
                "higher[, please|].",
                "make it higher.",
                "[can|could] you play it higher?",
                "a little higher[, please|].",
                "it should be higher.",
                "now higher.",
            ),
            held_out=("I want it higher.", "[can|could] you make it higher?"),
        ),
    ),
    EditTemplate(
        AUDIO,
        edit_operations.pitch_by(-1),
        TemplateSet(
            (
                "lower[, please|].",
                "make it lower.",
                "[can|could] you play it lower?",
                "a little lower[, please|].",
                "it should be lower.",
                "now lower.",
            ),
            held_out=("play it lower[, please|].", "I want it lower.", "[can|could] you make it lower?"),
        ),
    ),
    EditTemplate(
        AUDIO,
        edit_operations.pitch,
        TemplateSet(
            (
                "at a {pitch} pitch[, please|].",
                "make the pitch {pitch}.",
                "now at a {pitch} pitch.",
                "change the pitch to {pitch}.",
                "the same at a {pitch} pitch.",
                "I want to hear it at a {pitch} pitch.",
            ),
            held_out=(
                "[can|could] you change the pitch to {pitch}?",
                "[can|could] you make the pitch {pitch}?",
            ),
        ),
    ),
    EditTemplate(
        AUDIO,
        edit_operations.source,
        TemplateSet(
            (
                "now with {new}[ instead|].",
                "the same with {new}[, please|].",
                "replace it with {new}.",
                "use {new} instead.",
                "{new} instead[, please|].",
                "[can|could] you replace it with {new}?",
            ),
            held_out=(
                "I want to hear it with {new}.",
                "[can|could] you use {new} instead?",
                "the same, but with {new}.",
            ),
        ),
    ),
    EditTemplate(
        AUDIO,
        edit_operations.instrument,
        TemplateSet(
            (
                "now on {new}[, please|].",
                "play it on {new}.",
                "the same on {new}[, please|].",
                "[can|could] you play it on {new}?",
                "on {new} instead[, please|].",
            ),
            held_out=("I want to hear it on {new}.", "and now on {new} instead."),
        ),
    ),
    EditTemplate(
        AUDIO,
        edit_operations.pattern,
        TemplateSet(
            (
                "play it {pattern}[, please|].",
                "now {pattern}[, please|].",
                "the same {pattern}.",
                "it should be played {pattern}.",
                "[can|could] you play the same {pattern}?",
            ),
            held_out=("I want it {pattern}.", "I want to hear it {pattern}."),
        ),
    ),
    EditTemplate(
        AUDIO,
        edit_operations.speed("fast"),
        TemplateSet(
            (
                "faster[, please|].",
                "play it fast[er|].",
                "make it faster.",
                "a little faster[, please|].",
                "it is too slow.",
            ),
            held_out=("I want it faster.", "[can|could] you play it faster?"),
        ),
    ),
    EditTemplate(
        AUDIO,
        edit_operations.speed("slow"),
        TemplateSet(
            (
                "slower[, please|].",
                "play it slow[er|ly].",
                "make it slower.",
                "a little slower[, please|].",
                "it is too fast.",
            ),
            held_out=("I want it slower.", "[can|could] you play it slower?"),
        ),
    ),
)


def edit(state: DialogueState, modality: str) -> DialogueTurn | None:
    """Sample an edit of the last medium of ``modality`` or of a new one."""
    old_spec = state.subject(modality)
    templates = [template for template in EDIT_TEMPLATES if modality in template.modalities]
    for index in state.rng.permutation(len(templates)).tolist():
        template = templates[index]
        result = state.first_in_split(
            partial(_apply_template, state, template, old_spec), lambda result: result.spec
        )
        if result is not None:
            words = state.user_parts(old_spec, state.phrase(template.templates, **result.values))
            answer = media_answer(state, result.spec, is_edit=True)
            return DialogueTurn(
                f"edit_{modality}", words, answer, changed_attributes=difference(old_spec, result.spec)
            )
    return None


def _apply_template(state: DialogueState, template: EditTemplate, old_spec: MediaSpec) -> EditResult | None:
    result = template.apply(state, old_spec)
    return result if result is not None and result.spec != old_spec else None
