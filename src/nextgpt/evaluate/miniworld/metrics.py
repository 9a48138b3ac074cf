"""Metrics of the small world's suite: tasks, applicable cases and correctness predicate of each row."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from nextgpt.evaluate.miniworld.cases import EvalCase
from nextgpt.evaluate.miniworld.correctness import (
    Predicate,
    all_turns_correct,
    answers_without_media,
    contains_answer,
    contains_main_answer,
    edit_applied,
    edit_preserved_rest,
    has_attributes,
    has_expected_modalities,
)
from nextgpt.miniworld.language import TASKS
from nextgpt.miniworld.language.lexicon import PATTERN_FORMS, PITCH_FORMS, PLACE_FORMS, TINT_FORMS, background_forms
from nextgpt.miniworld.language.types import contains_phrase
from nextgpt.miniworld.specs import SceneSpec

CaseFilter = Callable[[EvalCase], bool]


@dataclass(frozen=True)
class Metric:
    """A row of results: the fraction of correct cases."""

    name: str
    tasks: tuple[str, ...]
    """Tasks of its cases; see :func:`~nextgpt.miniworld.language.sample_dialogue`."""
    is_correct: Predicate
    applies_to: CaseFilter = lambda case: True
    """Selects the cases that this metric counts."""
    system: str = "direct"


def _mentions_attributes(*names: str, objects: int | None = None) -> CaseFilter:
    """Select cases whose last request states these attributes and, if set, this number of objects."""

    def applies_to(case: EvalCase) -> bool:
        turn = case.evaluated_turns[-1]
        spec = turn.target_media[0].spec
        text = turn.user_text
        if objects is not None and not (isinstance(spec, SceneSpec) and len(spec.objects) == objects):
            return False
        values = vars(spec) | (vars(spec.objects[0]) if isinstance(spec, SceneSpec) else {})
        return all(any(contains_phrase(text, phrase) for phrase in _FORMS[name](values[name])) for name in names)

    return applies_to


_FORMS: dict[str, Callable[[str], tuple[str, ...]]] = {
    "background": background_forms,
    # The natural tint has no phrase: in "a red apple", red is the apple's own color.
    "tint": lambda tint: TINT_FORMS[tint] if tint != "natural" else (),
    "place": PLACE_FORMS.__getitem__,
    "pitch": PITCH_FORMS.__getitem__,
    "pattern": lambda pattern: (*PATTERN_FORMS[pattern], *(["chord"] if pattern == "chord" else [])),
}
"""Phrases of each attribute by value."""


def _has_input_media(case: EvalCase) -> bool:
    """Select cases whose last user message contains its medium."""
    return bool(case.evaluated_turns[-1].input_media)


DIALOGUE = "dialogue"
IMAGE, AUDIO, VIDEO = ("text_to_image",), ("text_to_audio",), ("text_to_video",)
SINGLE = tuple(task for task in TASKS if task != DIALOGUE)
METRICS: tuple[Metric, ...] = (
    Metric("modalities", SINGLE, has_expected_modalities),
    Metric("text_to_image.object", IMAGE, has_attributes("object"), _mentions_attributes(objects=1)),
    Metric(
        "text_to_image.background", IMAGE, has_attributes("background"), _mentions_attributes("background", objects=1)
    ),
    Metric("text_to_image.place", IMAGE, has_attributes("place"), _mentions_attributes("place", objects=1)),
    Metric("text_to_image.tint", IMAGE, has_attributes("tint"), _mentions_attributes("tint", objects=1)),
    Metric("text_to_image.two_objects", IMAGE, has_attributes("object"), _mentions_attributes(objects=2)),
    Metric("text_to_audio.source", AUDIO, has_attributes("source")),
    Metric("text_to_audio.pitch", AUDIO, has_attributes("pitch"), _mentions_attributes("pitch")),
    Metric("text_to_audio.pattern", AUDIO, has_attributes("pattern"), _mentions_attributes("pattern")),
    Metric("text_to_video.object", VIDEO, has_attributes("object")),
    Metric("text_to_video.motion", VIDEO, has_attributes("motion")),
    Metric("image_to_text.object", ("image_to_text",), contains_answer, _has_input_media),
    Metric("audio_to_text.source", ("audio_to_text",), contains_main_answer, _has_input_media),
    Metric("video_to_text.motion", ("video_to_text",), contains_main_answer, _has_input_media),
    Metric("questions", ("question",), contains_answer, _has_input_media),
    *(
        Metric(f"edit_{modality}.{name}", (f"edit_{modality}",), is_correct)
        for modality in ("image", "audio", "video")
        for name, is_correct in (("changed", edit_applied), ("kept", edit_preserved_rest))
    ),
    Metric("dialogues", (DIALOGUE,), all_turns_correct),
    Metric("outside", ("outside",), answers_without_media),
    *(
        Metric(f"indirect_{modality}.{system}", (f"indirect_{modality}",), is_correct, system=system)
        for modality, is_correct in (
            ("image", has_attributes("object", "tint", "background")),
            ("audio", has_attributes("source", "pitch", "pattern")),
        )
        for system in ("direct", "cascade", "true_caption")
    ),
)
