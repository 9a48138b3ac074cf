"""Evaluation items: a request, and what its answer is compared with. Plain values that are written as JSON lines.

Media are entries with a path relative to the data folder, as in a saved conversation
(:mod:`nextgpt.conversation_file`). Nothing here opens a medium or knows a model.
"""

from __future__ import annotations

from collections.abc import Iterable

from pydantic import BaseModel, ConfigDict

from nextgpt.conversation_file import MediumEntry, MessageEntry, TextEntry
from nextgpt.modality import MODALITIES

__all__ = ["CAPTION_REQUESTS", "EvalItem", "Frozen", "MediumEntry", "MessageEntry", "TextEntry"]


CAPTION_REQUESTS = {"image": "Describe this image.", "audio": "What do you hear?", "video": "Describe this video."}
"""Request for a caption, by modality. Not "audio clip": a clip is a video to nano."""


class Frozen(BaseModel):
    """Base of all values that a run writes."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class EvalItem(Frozen):
    """A request with its references."""

    id: str
    """Unique within its suite; part of file names."""
    suite: str
    request: tuple[MessageEntry, ...]
    """Conversation whose last message is answered."""
    target_caption: str = ""
    """Description of the requested medium: the prompt of text-to-media suites, the target of an edit."""
    canonical_caption: str = ""
    """The same in the form that the synthesizers were trained on, if the data have it."""
    references: tuple[str, ...] = ()
    """Correct answers in words; for suites that answer with text."""
    reference_media: tuple[MediumEntry, ...] = ()
    """True media of a correct answer, in order. Empty if the data have none."""
    source_medium: MediumEntry | None = None
    """Medium that is described or edited; it is also part of the request."""
    source_caption: str = ""
    """True description of the source medium. Empty if the data have none."""
    instruction: str = ""
    """Text of the request about the source medium."""
    mask: str = ""
    """Image, white where the edit may change the source medium. Empty if the data have none."""
    expected_modalities: tuple[str, ...] = ()
    """Modalities of a correct answer's media, in order; empty if it is text only."""
    data_source: str = ""
    """Corpus and file that the item comes from."""
    licence: str = ""
    """Licence of the corpus, if it states one."""

    @property
    def prompt(self) -> str:
        """Text that generated media should agree with."""
        return self.target_caption or self.instruction

    @property
    def input_media(self) -> tuple[MediumEntry, ...]:
        """Media of the request, in order."""
        return media_entries(part for message in self.request for part in message.parts)

    @property
    def paths(self) -> tuple[str, ...]:
        """All files of the item, relative to the data folder, without repetitions."""
        source = (self.source_medium,) if self.source_medium else ()
        media = (entry.path for entry in (*self.input_media, *source, *self.reference_media))
        return tuple(dict.fromkeys([*media, *([self.mask] if self.mask else [])]))


def media_entries(parts: Iterable[TextEntry | MediumEntry]) -> tuple[MediumEntry, ...]:
    """Return the media among ``parts``, in order."""
    return tuple(part for part in parts if isinstance(part, MediumEntry))


def user_message(*parts: str | MediumEntry) -> tuple[MessageEntry, ...]:
    """Return a conversation of one user message."""
    entries = tuple(TextEntry(type="text", text=part) if isinstance(part, str) else part for part in parts)
    return (MessageEntry(role="user", parts=entries),)


def medium(modality: str, path: str) -> MediumEntry:
    """Return the entry of a medium; ``modality`` is one of :data:`~nextgpt.modality.MODALITIES`."""
    assert modality in MODALITIES, modality
    return MediumEntry(type=modality, path=path)
