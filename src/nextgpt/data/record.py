"""What a corpus holds: pairs of a medium and its caption, and dialogues; media stay on disk until they are opened.

::

    Pair(medium, caption)     described() -> a person gives the medium, the assistant says the caption
                              drawn()     -> a person says the caption, the assistant makes the medium
    Dialogue(turns)           words and media in the order in which they are said
    Broken(key, reason)       what could not be read: counted and listed, never fatal, never silent
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Literal

from nextgpt.errors import MediaError
from nextgpt.message import Audio, Conversation, Image, Medium, Message, Role, Text, Video
from nextgpt.modality import MODALITIES

MEDIA_TYPES: dict[str, type[Image] | type[Audio] | type[Video]] = {
    "image": Image,
    "audio": Audio,
    "video": Video,
}
CAPTION_QUESTIONS = (
    "Describe this {noun}.",
    "What does this {noun} show?",
    "Say briefly what is in this {noun}.",
    "Give a caption of this {noun}.",
)


@dataclass(frozen=True)
class MediaFile:
    """A medium on disk: a file of its own, or a stretch of a tar."""

    modality: str
    path: Path
    """The file, or the tar that holds it."""
    member: str = ""
    """Its name in the tar."""
    byte_range: tuple[int, int] | None = None
    """Offset and size in the tar, in bytes."""
    caption: str = ""
    """What it shows; the decoding-side alignment needs it of what the assistant makes."""
    is_edit: bool = False
    """Whether the assistant made it from the last given medium."""

    @property
    def name(self) -> str:
        """What it is called, with its suffix."""
        return self.member or self.path.name

    @property
    def size_bytes(self) -> int:
        """Size of the file; 0 where there is none."""
        if self.byte_range:
            return self.byte_range[1]
        return self.path.stat().st_size if self.path.is_file() else 0

    @property
    def key(self) -> str:
        """Names the content for caches: where it lies and how large it is."""
        place = f"{self.modality}:{self.path.name}:{self.path.parent.name}:{self.member}:{self.size_bytes}"
        return blake2b(place.encode(), digest_size=16).hexdigest()

    @property
    def is_missing(self) -> bool:
        """Return whether there is no file; the assistant's media need none, as their captions are trained on."""
        return self.byte_range is None and not self.path.is_file()

    def read(self) -> bytes:
        """The bytes of the file. Raises :class:`MediaError`."""
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
        """Decode it. Raises :class:`MediaError`."""
        return MEDIA_TYPES[self.modality].open(self.path if self.byte_range is None else self.read())


Part = str | MediaFile


@dataclass(frozen=True)
class Turn:
    """What one of both says."""

    role: Role
    parts: tuple[Part, ...]

    @property
    def media(self) -> tuple[MediaFile, ...]:
        """Its media, in order."""
        return tuple(part for part in self.parts if isinstance(part, MediaFile))


@dataclass(frozen=True)
class Dialogue:
    """Turns in order."""

    key: str
    turns: tuple[Turn, ...]

    @property
    def input_media(self) -> tuple[MediaFile, ...]:
        """Media that the person gives, in order."""
        return tuple(medium for turn in self.turns if turn.role != "assistant" for medium in turn.media)

    @property
    def output_media(self) -> tuple[MediaFile, ...]:
        """Media that the assistant makes, in order."""
        return tuple(medium for turn in self.turns if turn.role == "assistant" for medium in turn.media)

    @property
    def text(self) -> str:
        """All words, a line a turn."""
        words = ("".join(part for part in turn.parts if isinstance(part, str)) for turn in self.turns)
        return "\n".join(words)

    def conversation(self, opened: Callable[[MediaFile], Medium]) -> Conversation:
        """The dialogue as typed messages. ``opened`` decodes a medium, or gives what stands for it."""
        return Conversation(
            tuple(
                Message(turn.role, tuple(Text(p) if isinstance(p, str) else opened(p) for p in turn.parts))
                for turn in self.turns
            )
        )


@dataclass(frozen=True)
class CaptionPair:
    """A medium and what it shows."""

    key: str
    medium: MediaFile

    @property
    def caption(self) -> str:
        """What the medium shows."""
        return self.medium.caption

    def as_captioning(self) -> Dialogue:
        """The medium is given, its caption said; the question depends on the key alone."""
        number = int.from_bytes(blake2b(self.key.encode(), digest_size=2).digest(), "big")
        question = CAPTION_QUESTIONS[number % len(CAPTION_QUESTIONS)].format(
            noun=MODALITIES[self.medium.modality].noun
        )
        return Dialogue(self.key, (Turn("user", (self.medium, question)), Turn("assistant", (self.caption,))))

    def as_generation(self) -> Dialogue:
        """The caption is said by both, then the medium made, as the published training has it."""
        answer = Turn("assistant", (self.caption, self.medium))
        return Dialogue(self.key, (Turn("user", (self.caption,)), answer))


@dataclass(frozen=True)
class InvalidRecord:
    """What could not be read, and why."""

    key: str
    reason: str


Record = CaptionPair | Dialogue
PairTask = Literal["captioning", "generation"]


def dialogue_of(record: Record, task: PairTask) -> Dialogue:
    """A record as a dialogue; of a pair, the one of ``task``."""
    if isinstance(record, Dialogue):
        return record
    return record.as_captioning() if task == "captioning" else record.as_generation()


def media_of(record: Record) -> tuple[MediaFile, ...]:
    """All media of a record."""
    return (record.medium,) if isinstance(record, CaptionPair) else record.input_media + record.output_media
