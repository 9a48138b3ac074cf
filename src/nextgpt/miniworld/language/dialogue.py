"""What a dialogue is: turns in which media stand in place, with what a right answer must say, show and play."""

from __future__ import annotations

import re
from dataclasses import dataclass

from nextgpt.miniworld.scene import TIMED_PATTERNS, Clip, Content, Scene, Sound

_MODALITIES: dict[type, str] = {Scene: "image", Sound: "audio", Clip: "video"}


@dataclass(frozen=True)
class Shown:
    """A medium in a message, held as its content."""

    content: Content
    is_edit: bool = False
    """Whether it is made from the last medium of its modality."""

    @property
    def modality(self) -> str:
        """``image``, ``audio`` or ``video``."""
        return _MODALITIES[type(self.content)]


Say = str | Shown
"""A piece of a message: words or a medium."""


@dataclass(frozen=True)
class Turn:
    """What a person says and how it is answered."""

    task: str
    user: tuple[Say, ...]
    assistant: tuple[Say, ...]
    key_words: tuple[tuple[str, ...], ...] = ()
    """What the words of a right answer say: at least one phrase of each group; the main attribute stands first."""
    changed: tuple[str, ...] = ()
    """Of an edit: the names of the attributes that must be new; see :func:`attributes`."""
    topic: str | None = None
    """The kind of object whose facts were talked about."""

    @property
    def given(self) -> tuple[Shown, ...]:
        """The media of the user."""
        return tuple(say for say in self.user if isinstance(say, Shown))

    @property
    def made(self) -> tuple[Shown, ...]:
        """The media of the answer, in speaking order: their contents and modalities are what is expected."""
        return tuple(say for say in self.assistant if isinstance(say, Shown))

    @property
    def modalities(self) -> tuple[str, ...]:
        """The modalities of the answer beside text, in speaking order."""
        return tuple(shown.modality for shown in self.made)

    @property
    def kept(self) -> tuple[str, ...]:
        """Of an edit: the names of the attributes that must stay as they were."""
        edited = next((shown.content for shown in self.made if shown.is_edit), None)
        return tuple(name for name in attributes(edited) if name not in self.changed) if edited else ()

    def is_said(self, text: str) -> bool:
        """Whether ``text`` says what a right answer must say."""
        return all(any(_stands_in(phrase, text) for phrase in group) for group in self.key_words)


@dataclass(frozen=True)
class Dialogue:
    """Turns in order."""

    turns: tuple[Turn, ...]


def attributes(content: Content) -> dict[str, str]:
    """Every attribute of a content by name; with several objects, names end in the object's number from 1."""
    if isinstance(content, Sound):
        speed = {"speed": content.speed} if content.pattern in TIMED_PATTERNS else {}
        return {"source": content.source, "pitch": content.pitch, "pattern": content.pattern, **speed}
    if isinstance(content, Clip):
        moved = {"object": content.object, "tint": content.tint, "motion": content.motion}
        return {**moved, "background": content.background}
    named = {}
    for number, placed in enumerate(content.objects, start=1):
        ending = f" {number}" if len(content.objects) > 1 else ""
        named |= {f"{name}{ending}": getattr(placed, name) for name in ("object", "tint", "place", "size")}
    return {**named, "background": content.background}


def difference(before: Content, after: Content) -> tuple[str, ...]:
    """The names of the attributes of ``after`` that are not as ``before``."""
    old = attributes(before)
    return tuple(name for name, value in attributes(after).items() if name in old and old[name] != value)


def _stands_in(phrase: str, text: str) -> bool:
    return re.search(rf"(?<!\w){re.escape(phrase)}(?!\w)", text, re.IGNORECASE) is not None
