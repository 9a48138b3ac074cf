"""All questions about media; their answers follow from the specs alone. One table row per question."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from nextgpt.miniworld.language import audio_questions, visual_questions
from nextgpt.miniworld.language.dialogue_state import DialogueState
from nextgpt.miniworld.language.templates import TemplateSet, load_templates
from nextgpt.miniworld.language.types import QuestionAnswer
from nextgpt.miniworld.specs import MediaSpec


@dataclass(frozen=True)
class QuestionTemplate:
    """A question: modalities, answer function and templates."""

    modalities: tuple[str, ...]
    ask: Callable[[DialogueState, MediaSpec], QuestionAnswer | None]
    """Compute the answer; None if it is ambiguous for this spec."""
    templates: TemplateSet


IMAGE, AUDIO, VIDEO, VISUAL = ("image",), ("audio",), ("video",), ("image", "video")
_QUESTIONS: tuple[tuple[tuple[str, ...], Callable[[DialogueState, MediaSpec], QuestionAnswer | None]], ...] = (
    (VISUAL, visual_questions.what_object),
    (VISUAL, visual_questions.is_object),
    (IMAGE, visual_questions.which_objects),
    (IMAGE, visual_questions.where_is),
    (IMAGE, visual_questions.what_is_at),
    (IMAGE, visual_questions.how_many),
    (IMAGE, visual_questions.how_many_of),
    (VISUAL, visual_questions.which_color),
    (VISUAL, visual_questions.which_background),
    (IMAGE, visual_questions.how_big),
    (IMAGE, visual_questions.is_there),
    (VISUAL, visual_questions.is_colored),
    (VISUAL, visual_questions.is_category),
    (VIDEO, visual_questions.which_motion),
    (VIDEO, visual_questions.which_way),
    (VIDEO, visual_questions.is_moving),
    (AUDIO, audio_questions.what_sound),
    (AUDIO, audio_questions.which_instrument),
    (AUDIO, audio_questions.which_word),
    (AUDIO, audio_questions.is_source),
    (AUDIO, audio_questions.how_high),
    (AUDIO, audio_questions.is_pitched),
    (AUDIO, audio_questions.which_pattern),
    (AUDIO, audio_questions.how_fast),
)
QUESTION_TEMPLATES = tuple(
    QuestionTemplate(modalities, ask, load_templates("questions")[ask.__name__]) for modalities, ask in _QUESTIONS
)
