"""Records of a corpus: caption pairs and dialogues; media stay on disk until they are opened.

::

    CaptionPair(medium)         as_captioning() -> medium in, caption out
                                as_generation() -> caption in, caption and medium out
    Dialogue(turns)             text and media in order
    InvalidRecord(key, reason)  an unreadable row: counted and listed, never fatal, never silent
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Literal

from nextgpt.errors import MediaError
from nextgpt.media.read_any import READERS
from nextgpt.message import Conversation, Medium, Message, Role, Text
from nextgpt.modality import MODALITIES

CAPTION_QUESTIONS = (
    "Describe this {noun}.",
    "What does this {noun} show?",
    "Say briefly what is in this {noun}.",
    "Give a caption of this {noun}.",
)


@dataclass(frozen=True)
class MediaFile:
    """A medium on disk: a file, or a byte range of a tar."""

    modality: str
    path: Path
    """The file, or the tar that holds it."""
    member: str = ""
    """Its name in the tar."""
    byte_range: tuple[int, int] | None = None
    """Offset and size in the tar, in bytes."""
    caption: str = ""
    """Description of the content; required for output media."""
    is_edit: bool = False
    """True if it is an edit of the last input medium."""
    source: str = ""
    """Origin for attribution, for example an address; empty if unknown."""
    licence: str = ""
    """Licence, for example ``CC-BY-4.0``; empty if unknown."""

    @property
    def name(self) -> str:
        """File name with suffix."""
        return self.member or self.path.name

    @property
    def size_bytes(self) -> int:
        """Size of the file; 0 if there is none."""
        if self.byte_range:
            return self.byte_range[1]
        return self.path.stat().st_size if self.path.is_file() else 0

    @property
    def key(self) -> str:
        """Identify the content for caches: by path, size and modification time.

        Names and sizes alone are not enough: two corpora may both have an ``audio/0.wav`` of the same length.
        """
        status = self.path.stat() if self.path.is_file() else None
        version = None if status is None else (status.st_size, status.st_mtime_ns)
        place = (self.modality, str(self.path.resolve()), self.member, self.byte_range, version)
        return blake2b(repr(place).encode(), digest_size=16).hexdigest()

    @property
    def is_missing(self) -> bool:
        """Return whether there is no file; the assistant's media need none, as their captions are trained on."""
        return self.byte_range is None and not self.path.is_file()

    def read(self) -> bytes:
        """Read the bytes of the file. Raises :class:`MediaError`."""
        try:
            with self.path.open("rb") as file:
                if self.byte_range is None:
                    return file.read()
                file.seek(self.byte_range[0])
                return file.read(self.byte_range[1])
        except OSError as error:
            reason = error.strerror or error
            raise MediaError(
                f"{self.path} cannot be read ({reason}); expected a medium that the corpus names. "
                "Name the folder of its media with --media, or fetch the file."
            ) from None

    def open(self) -> Medium:
        """Decode the medium. Raises :class:`MediaError`."""
        return READERS[self.modality](self.path if self.byte_range is None else self.read())


Part = str | MediaFile


@dataclass(frozen=True)
class Turn:
    """A turn of a dialogue."""

    role: Role
    parts: tuple[Part, ...]

    @property
    def media(self) -> tuple[MediaFile, ...]:
        """The media of the turn, in order."""
        return tuple(part for part in self.parts if isinstance(part, MediaFile))


@dataclass(frozen=True)
class Dialogue:
    """Turns in order."""

    key: str
    turns: tuple[Turn, ...]
    is_truncated: bool = False
    """True if the last answer is cut off; the end of its turn is then not trained on."""

    @property
    def input_media(self) -> tuple[MediaFile, ...]:
        """Media of user turns, in order."""
        return tuple(medium for turn in self.turns if turn.role != "assistant" for medium in turn.media)

    @property
    def output_media(self) -> tuple[MediaFile, ...]:
        """Media of assistant turns, in order."""
        return tuple(medium for turn in self.turns if turn.role == "assistant" for medium in turn.media)

    @property
    def text(self) -> str:
        """All text, one line per turn."""
        words = ("".join(part for part in turn.parts if isinstance(part, str)) for turn in self.turns)
        return "\n".join(words)

    def conversation(self, opened: Callable[[MediaFile], Medium]) -> Conversation:
        """Convert to typed messages; ``opened`` decodes a medium or returns a placeholder."""
        return Conversation(
            tuple(
                Message(turn.role, tuple(Text(p) if isinstance(p, str) else opened(p) for p in turn.parts))
                for turn in self.turns
            )
        )


@dataclass(frozen=True)
class CaptionPair:
    """A medium with its caption."""

    key: str
    medium: MediaFile

    @property
    def caption(self) -> str:
        """The caption of the medium."""
        return self.medium.caption

    def as_captioning(self) -> Dialogue:
        """Return a dialogue that asks for the caption; the question depends on the key only."""
        number = int.from_bytes(blake2b(self.key.encode(), digest_size=2).digest(), "big")
        question = CAPTION_QUESTIONS[number % len(CAPTION_QUESTIONS)].format(noun=MODALITIES[self.medium.modality].noun)
        return Dialogue(self.key, (Turn("user", (self.medium, question)), Turn("assistant", (self.caption,))))

    def as_generation(self) -> Dialogue:
        """Return a dialogue that asks for the medium by its caption, as the published training does."""
        answer = Turn("assistant", (self.caption, self.medium))
        return Dialogue(self.key, (Turn("user", (self.caption,)), answer))


@dataclass(frozen=True)
class InvalidRecord:
    """A row that could not be read, and the reason."""

    key: str
    reason: str


Record = CaptionPair | Dialogue
PairTask = Literal["captioning", "generation"]


def dialogue_of(record: Record, task: PairTask) -> Dialogue:
    """Convert a record to a dialogue; ``task`` applies to caption pairs."""
    if isinstance(record, Dialogue):
        return record
    return record.as_captioning() if task == "captioning" else record.as_generation()


def media_of(record: Record) -> tuple[MediaFile, ...]:
    """All media of a record."""
    return (record.medium,) if isinstance(record, CaptionPair) else record.input_media + record.output_media
