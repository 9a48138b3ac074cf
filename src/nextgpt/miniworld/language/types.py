"""What a dialogue is: turns in which media stand in place, with what a right answer must say, show and play."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from nextgpt.miniworld.specs import TIMED_PATTERNS, ClipSpec, MediaSpec, SceneSpec, SoundSpec

_MODALITIES: dict[type, str] = {SceneSpec: "image", SoundSpec: "audio", ClipSpec: "video"}


@dataclass(frozen=True)
class MediaPart:
    """A medium in a message, held as its content."""

    spec: MediaSpec
    is_edit: bool = False
    """Whether it is made from the last medium of its modality."""

    @property
    def modality(self) -> str:
        """``image``, ``audio`` or ``video``."""
        return _MODALITIES[type(self.spec)]


TurnPart = str | MediaPart
"""Part of a message: text or a medium."""
KeyWordGroups = tuple[tuple[str, ...], ...]
"""Phrases of a correct answer: at least one of each group must occur; the main attribute is the first group."""


@dataclass(frozen=True)
class DialogueTurn:
    """What a person says and how it is answered."""

    task: str
    user: tuple[TurnPart, ...]
    assistant: tuple[TurnPart, ...]
    key_words: KeyWordGroups = ()
    """What the words of a right answer say: at least one phrase of each group; the main attribute stands first."""
    changed_attributes: tuple[str, ...] = ()
    """Of an edit: the names of the attributes that must be new; see :func:`attributes`."""
    topic: str | None = None
    """The kind of object whose facts were talked about."""

    @property
    def input_media(self) -> tuple[MediaPart, ...]:
        """The media of the user."""
        return tuple(say for say in self.user if isinstance(say, MediaPart))

    @property
    def target_media(self) -> tuple[MediaPart, ...]:
        """The media of the answer, in speaking order: their contents and modalities are what is expected."""
        return tuple(say for say in self.assistant if isinstance(say, MediaPart))

    @property
    def modalities(self) -> tuple[str, ...]:
        """The modalities of the answer beside text, in speaking order."""
        return tuple(shown.modality for shown in self.target_media)

    @property
    def preserved_attributes(self) -> tuple[str, ...]:
        """Of an edit: the names of the attributes that must stay as they were."""
        edited = next((shown.spec for shown in self.target_media if shown.is_edit), None)
        return (
            tuple(name for name in attributes(edited) if name not in self.changed_attributes)
            if edited
            else ()
        )

    def contains_key_words(self, text: str) -> bool:
        """Whether ``text`` says what a right answer must say."""
        return all(any(_contains_phrase(phrase, text) for phrase in group) for group in self.key_words)


@dataclass(frozen=True)
class QuestionAnswer:
    """Answer to one question about one medium."""

    answer: str
    key_words: KeyWordGroups
    values: dict[str, str] = field(default_factory=dict)
    """Values of the placeholders in the question's template."""


@dataclass(frozen=True)
class Dialogue:
    """Turns in order."""

    turns: tuple[DialogueTurn, ...]


def attributes(spec: MediaSpec) -> dict[str, str]:
    """Every attribute of a content by name; with several objects, names end in the object's number from 1."""
    if isinstance(spec, SoundSpec):
        speed = {"speed": spec.speed} if spec.pattern in TIMED_PATTERNS else {}
        return {"source": spec.source, "pitch": spec.pitch, "pattern": spec.pattern, **speed}
    if isinstance(spec, ClipSpec):
        moved = {"object": spec.object, "tint": spec.tint, "motion": spec.motion}
        return {**moved, "background": spec.background}
    named = {}
    for number, obj in enumerate(spec.objects, start=1):
        ending = f" {number}" if len(spec.objects) > 1 else ""
        named |= {f"{name}{ending}": getattr(obj, name) for name in ("object", "tint", "place", "size")}
    return {**named, "background": spec.background}


def difference(before: MediaSpec, after: MediaSpec) -> tuple[str, ...]:
    """The names of the attributes of ``after`` that are not as ``before``."""
    old = attributes(before)
    return tuple(name for name, value in attributes(after).items() if name in old and old[name] != value)


def _contains_phrase(phrase: str, text: str) -> bool:
    return re.search(rf"(?<!\w){re.escape(phrase)}(?!\w)", text, re.IGNORECASE) is not None
