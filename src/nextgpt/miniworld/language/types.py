"""Dialogue types: turns with media in place, and what a correct answer contains."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from nextgpt.miniworld.specs import TIMED_PATTERNS, ClipSpec, MediaSpec, SceneSpec, SoundSpec

_MODALITIES: dict[type, str] = {SceneSpec: "image", SoundSpec: "audio", ClipSpec: "video"}


@dataclass(frozen=True)
class MediaPart:
    """A medium in a message, represented by its spec."""

    spec: MediaSpec
    is_edit: bool = False
    """True if it is made from the last medium of its modality."""

    @property
    def modality(self) -> str:
        """Return ``image``, ``audio`` or ``video``."""
        return _MODALITIES[type(self.spec)]


TurnPart = str | MediaPart
"""Part of a message: text or a medium."""
KeyWordGroups = tuple[tuple[str, ...], ...]
"""Phrases of a correct answer: at least one of each group must occur; the main attribute is the first group."""


@dataclass(frozen=True)
class DialogueTurn:
    """A user message and its correct answer."""

    task: str
    user: tuple[TurnPart, ...]
    assistant: tuple[TurnPart, ...]
    key_words: KeyWordGroups = ()
    """Phrases of a correct answer."""
    changed_attributes: tuple[str, ...] = ()
    """Names of the attributes that an edit must change; see :func:`attributes`."""
    topic: str | None = None
    """Object kind whose facts the turn is about."""

    @property
    def user_text(self) -> str:
        """Return the text of the user message."""
        return "".join(part for part in self.user if isinstance(part, str))

    @property
    def input_media(self) -> tuple[MediaPart, ...]:
        """Return the media of the user message."""
        return tuple(part for part in self.user if isinstance(part, MediaPart))

    @property
    def target_media(self) -> tuple[MediaPart, ...]:
        """Return the media of the answer in order: the expected modalities and specs."""
        return tuple(part for part in self.assistant if isinstance(part, MediaPart))

    @property
    def modalities(self) -> tuple[str, ...]:
        """Return the modalities of the answer's media in order."""
        return tuple(part.modality for part in self.target_media)

    @property
    def preserved_attributes(self) -> tuple[str, ...]:
        """Return the names of the attributes that an edit must keep."""
        target = next((part.spec for part in self.target_media if part.is_edit), None)
        return tuple(name for name in attributes(target) if name not in self.changed_attributes) if target else ()

    def contains_key_words(self, text: str) -> bool:
        """Return True if ``text`` contains a phrase of every key word group."""
        return all(any(contains_phrase(text, phrase) for phrase in group) for group in self.key_words)


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
    """Return all attributes of a spec by name; with several objects, names end in the object's number."""
    if isinstance(spec, SoundSpec):
        speed = {"speed": spec.speed} if spec.pattern in TIMED_PATTERNS else {}
        return {"source": spec.source, "pitch": spec.pitch, "pattern": spec.pattern, **speed}
    if isinstance(spec, ClipSpec):
        values = {"object": spec.object, "tint": spec.tint, "motion": spec.motion}
        return {**values, "background": spec.background}
    values = {}
    for number, obj in enumerate(spec.objects, start=1):
        ending = f" {number}" if len(spec.objects) > 1 else ""
        values |= {f"{name}{ending}": getattr(obj, name) for name in ("object", "tint", "place", "size")}
    return {**values, "background": spec.background}


def difference(before: MediaSpec, after: MediaSpec) -> tuple[str, ...]:
    """Return the names of the attributes of ``after`` that differ from ``before``."""
    old = attributes(before)
    return tuple(name for name, value in attributes(after).items() if name in old and old[name] != value)


def contains_phrase(text: str, phrase: str) -> bool:
    """Return True if ``text`` contains ``phrase`` as whole words, ignoring case."""
    return re.search(rf"(?<!\w){re.escape(phrase)}(?!\w)", text, re.IGNORECASE) is not None
