"""The rows of the small world's suite: which dialogues each draws, which of them count, and when an answer is right."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from nextgpt.evaluate.case import Case
from nextgpt.evaluate.scoring import (
    IsRight,
    every_turn_is_right,
    has_right_modalities,
    is_changed,
    is_kept,
    only_says,
    says,
    says_main,
    shows,
)
from nextgpt.miniworld.language import TASKS
from nextgpt.miniworld.language.wording import (
    PATTERN_FORMS,
    PITCH_FORMS,
    PLACE_FORMS,
    TINT_FORMS,
    background_forms,
)
from nextgpt.miniworld.scene import Scene

Counts = Callable[[Case], bool]


@dataclass(frozen=True)
class Row:
    """One share to be measured."""

    name: str
    sources: tuple[str, ...]
    """The tasks that its dialogues end in; see :func:`~nextgpt.miniworld.language.sample_dialogue`."""
    is_right: IsRight
    counts: Counts = lambda case: True
    """Which of the dialogues say something about this row."""
    player: str = "direct"


def mentions(words: str, phrases: Iterable[str]) -> bool:
    """Whether any of ``phrases`` stands in ``words``."""
    return any(re.search(rf"(?<!\w){re.escape(phrase)}(?!\w)", words, re.IGNORECASE) for phrase in phrases)


def _asks_for(*names: str, objects: int | None = None) -> Counts:
    """Whether the last turn says the attributes of these names, and asks for so many objects."""

    def counts(case: Case) -> bool:
        turn = case.asked[-1]
        content = turn.made[0].content
        words = "".join(say for say in turn.user if isinstance(say, str))
        if objects is not None and not (isinstance(content, Scene) and len(content.objects) == objects):
            return False
        values = vars(content) | (vars(content.objects[0]) if isinstance(content, Scene) else {})
        return all(mentions(words, _FORMS[name](values[name])) for name in names)

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


def _hands_over(case: Case) -> bool:
    """Whether the last turn is about a medium that comes with it."""
    return bool(case.asked[-1].given)


DIALOGUE = "dialogue"
IMAGE, AUDIO, VIDEO = ("text_to_image",), ("text_to_audio",), ("text_to_video",)
SINGLE = tuple(task for task in TASKS if task != DIALOGUE)
ROWS: tuple[Row, ...] = (
    Row("modalities", SINGLE, has_right_modalities),
    Row("text_to_image.object", IMAGE, shows("object"), _asks_for(objects=1)),
    Row("text_to_image.background", IMAGE, shows("background"), _asks_for("background", objects=1)),
    Row("text_to_image.place", IMAGE, shows("place"), _asks_for("place", objects=1)),
    Row("text_to_image.tint", IMAGE, shows("tint"), _asks_for("tint", objects=1)),
    Row("text_to_image.two_objects", IMAGE, shows("object"), _asks_for(objects=2)),
    Row("text_to_audio.source", AUDIO, shows("source")),
    Row("text_to_audio.pitch", AUDIO, shows("pitch"), _asks_for("pitch")),
    Row("text_to_audio.pattern", AUDIO, shows("pattern"), _asks_for("pattern")),
    Row("text_to_video.object", VIDEO, shows("object")),
    Row("text_to_video.motion", VIDEO, shows("motion")),
    Row("image_to_text.object", ("image_to_text",), says, _hands_over),
    Row("audio_to_text.source", ("audio_to_text",), says_main, _hands_over),
    Row("video_to_text.motion", ("video_to_text",), says_main, _hands_over),
    Row("questions", ("question",), says, _hands_over),
    *(
        Row(f"edit_{modality}.{name}", (f"edit_{modality}",), is_right)
        for modality in ("image", "audio", "video")
        for name, is_right in (("changed", is_changed), ("kept", is_kept))
    ),
    Row("dialogues", (DIALOGUE,), every_turn_is_right),
    Row("outside", ("outside",), only_says),
    *(
        Row(f"indirect_{modality}.{player}", (f"indirect_{modality}",), is_right, player=player)
        for modality, is_right in (
            ("image", shows("object", "tint", "background")),
            ("audio", shows("source", "pitch", "pattern")),
        )
        for player in ("direct", "cascade", "true_caption")
    ),
)
