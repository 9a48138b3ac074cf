"""The rows of the small world's suite: which dialogues each draws, which of them count, and when an answer is right."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from nextgpt.evaluate.cases import EvalCase
from nextgpt.evaluate.correctness import (
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
from nextgpt.miniworld.language.lexicon import (
    PATTERN_FORMS,
    PITCH_FORMS,
    PLACE_FORMS,
    TINT_FORMS,
    background_forms,
)
from nextgpt.miniworld.specs import SceneSpec

CaseFilter = Callable[[EvalCase], bool]


@dataclass(frozen=True)
class Metric:
    """One share to be measured."""

    name: str
    tasks: tuple[str, ...]
    """The tasks that its dialogues end in; see :func:`~nextgpt.miniworld.language.sample_dialogue`."""
    is_correct: Predicate
    applies_to: CaseFilter = lambda case: True
    """Which of the dialogues say something about this row."""
    system: str = "direct"


def contains_phrase(words: str, phrases: Iterable[str]) -> bool:
    """Whether any of ``phrases`` stands in ``words``."""
    return any(re.search(rf"(?<!\w){re.escape(phrase)}(?!\w)", words, re.IGNORECASE) for phrase in phrases)


def _mentions_attributes(*names: str, objects: int | None = None) -> CaseFilter:
    """Whether the last turn says the attributes of these names, and asks for so many objects."""

    def counts(case: EvalCase) -> bool:
        turn = case.evaluated_turns[-1]
        content = turn.target_media[0].spec
        words = "".join(say for say in turn.user if isinstance(say, str))
        if objects is not None and not (isinstance(content, SceneSpec) and len(content.objects) == objects):
            return False
        values = vars(content) | (vars(content.objects[0]) if isinstance(content, SceneSpec) else {})
        return all(contains_phrase(words, _FORMS[name](values[name])) for name in names)

    return counts


_FORMS: dict[str, Callable[[str], tuple[str, ...]]] = {
    "background": background_forms,
    # A natural tint is never said: a red apple is one where red is the apple's own colour.
    "tint": lambda tint: TINT_FORMS[tint] if tint != "natural" else (),
    "place": PLACE_FORMS.__getitem__,
    "pitch": PITCH_FORMS.__getitem__,
    "pattern": lambda pattern: (*PATTERN_FORMS[pattern], *(["chord"] if pattern == "chord" else [])),
}
"""The ways in which each attribute is said."""


def _has_input_media(case: EvalCase) -> bool:
    """Whether the last turn is about a medium that comes with it."""
    return bool(case.evaluated_turns[-1].input_media)


DIALOGUE = "dialogue"
IMAGE, AUDIO, VIDEO = ("text_to_image",), ("text_to_audio",), ("text_to_video",)
SINGLE = tuple(task for task in TASKS if task != DIALOGUE)
METRICS: tuple[Metric, ...] = (
    Metric("modalities", SINGLE, has_expected_modalities),
    Metric("text_to_image.object", IMAGE, has_attributes("object"), _mentions_attributes(objects=1)),
    Metric(
        "text_to_image.background",
        IMAGE,
        has_attributes("background"),
        _mentions_attributes("background", objects=1),
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
        Metric(f"edit_{modality}.{name}", (f"edit_{modality}",), is_right)
        for modality in ("image", "audio", "video")
        for name, is_right in (("changed", edit_applied), ("kept", edit_preserved_rest))
    ),
    Metric("dialogues", (DIALOGUE,), all_turns_correct),
    Metric("outside", ("outside",), answers_without_media),
    *(
        Metric(f"indirect_{modality}.{player}", (f"indirect_{modality}",), is_right, system=player)
        for modality, is_right in (
            ("image", has_attributes("object", "tint", "background")),
            ("audio", has_attributes("source", "pitch", "pattern")),
        )
        for player in ("direct", "cascade", "true_caption")
    ),
)
