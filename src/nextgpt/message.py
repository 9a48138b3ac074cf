"""Messages, conversations, streaming events and replies. Immutable; independent of models, features and tokens."""

from __future__ import annotations

import operator
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import ClassVar, Literal, get_args

from nextgpt.errors import ConversationError, unknown_name_message
from nextgpt.media.types import Audio, Depth, Image, Imu, MediaSource, Medium, Thermal, Video
from nextgpt.modality import SUFFIXES

__all__ = [
    "Attribution",
    "Audio",
    "Conversation",
    "DenoisingProgress",
    "Depth",
    "Event",
    "Image",
    "Imu",
    "MediaSource",
    "Medium",
    "MediumFinished",
    "Message",
    "MessageContent",
    "Part",
    "Reply",
    "ReplyFinished",
    "Role",
    "Sampling",
    "Text",
    "TextDelta",
    "TextJoiner",
    "Thermal",
    "Via",
    "Video",
    "media_filename",
]

Role = Literal["system", "user", "assistant"]
Via = Literal["generate", "retrieve", "auto"]
"""Origin of the media of a reply. ``auto`` retrieves from the calibrated scores of the index upwards."""


@dataclass(frozen=True)
class Text:
    """Text of a message."""

    text: str
    modality: ClassVar[str] = "text"


Part = Text | Medium
MessageContent = str | Part | Iterable[str | Part]
"""Text, a medium, or a list of both."""


class TextJoiner:
    """Joins the text of one message piece by piece; a line break separates what a medium separates.

    ::

        "A cat: " <image> "And a dog."    ->    "A cat: \\nAnd a dog."
    """

    def __init__(self) -> None:
        self._ends_line = True
        self._is_after_medium = False

    def add_text(self, text: str) -> str:
        """Return ``text`` as it continues the joined text."""
        if not text:
            return ""
        needs_break = self._is_after_medium and not self._ends_line and not text.startswith("\n")
        self._is_after_medium, self._ends_line = False, text.endswith("\n")
        return f"\n{text}" if needs_break else text

    def add_medium(self) -> None:
        """Separate what follows from what came before."""
        self._is_after_medium = True

    def add(self, part: object) -> str:
        """Return what a part adds to the joined text; everything but text separates."""
        if isinstance(part, Text):
            return self.add_text(part.text)
        self.add_medium()
        return ""


@dataclass(frozen=True)
class Message:
    """A turn of a conversation: parts in order."""

    role: Role
    parts: tuple[Part, ...]

    @classmethod
    def create(cls, role: Role, content: MessageContent) -> Message:
        """Build a message from text, a medium, or a list of both. Raises :class:`ConversationError`."""
        if role not in get_args(Role):
            raise ConversationError(unknown_name_message("role", str(role), get_args(Role)))
        items = [content] if isinstance(content, str | Part) else list(content)
        parts = tuple(Text(item) if isinstance(item, str) else item for item in items)
        for part in parts:
            if not isinstance(part, Part):
                raise ConversationError(
                    f"A message holds a {type(part).__name__}; expected str, Text, Image, Audio, Video, Depth, "
                    "Thermal or Imu. Open files with Image.open, Audio.open and the like."
                )
        return cls(role, parts)

    @property
    def text(self) -> str:
        """The text of the message, joined by :class:`TextJoiner`."""
        joiner = TextJoiner()
        return "".join(map(joiner.add, self.parts))

    @property
    def media(self) -> tuple[Medium, ...]:
        """The media of the message, in order."""
        return tuple(part for part in self.parts if not isinstance(part, Text))


@dataclass(frozen=True)
class Conversation:
    """Messages in order. The ``with_`` methods return a new conversation and leave this one unchanged."""

    messages: tuple[Message, ...] = ()

    def with_message(self, content: MessageContent, role: Role = "user") -> Conversation:
        """Return the conversation with one more message."""
        return replace(self, messages=(*self.messages, Message.create(role, content)))

    def with_reply(self, reply: Reply) -> Conversation:
        """Return the conversation with the model's reply as its last message."""
        return replace(self, messages=(*self.messages, reply.message))

    @property
    def media(self) -> tuple[Medium, ...]:
        """All media of the conversation, in order."""
        return tuple(medium for message in self.messages for medium in message.media)

    def last_medium(self, modality: str) -> Medium | None:
        """Return the last medium of ``modality``, from either role; ``None`` if there is none."""
        return next((medium for medium in reversed(self.media) if medium.modality == modality), None)

    def __iter__(self) -> Iterator[Message]:
        return iter(self.messages)

    def __len__(self) -> int:
        return len(self.messages)


MAX_INFERENCE_STEPS = 1000
"""Maximum denoising steps: the number of training timesteps of diffusion models."""


@dataclass(frozen=True)
class Sampling:
    """Sampling parameters of a reply. ``None`` means the model's own default."""

    seed: int = 0
    """The same model, conversation and seed give the same reply."""
    max_tokens: int = 256
    temperature: float = 0.0
    """0 is greedy decoding; above 0, tokens are sampled."""
    top_p: float = 1.0
    stop: tuple[str, ...] = ()
    """Strings that end the reply; they are not part of it."""
    modalities: tuple[str, ...] | None = None
    """Allowed output modalities, e.g. ``("text", "image")``; ``None`` leaves the choice to the model."""
    json_schema: str | None = None
    """JSON text of a schema that the reply follows; it is text alone then. Needs llguidance."""
    num_inference_steps: int | Mapping[str, int] | None = None
    """Denoising steps, for all media or by modality."""
    guidance_scale: float | Mapping[str, float] | None = None
    """Classifier-free guidance scale, for all media or by modality."""

    def __post_init__(self) -> None:
        """Take one string for a tuple of it, and integers of NumPy for their own kind."""
        for name in ("stop", "modalities"):
            value = getattr(self, name)
            if value is not None:
                object.__setattr__(self, name, (value,) if isinstance(value, str) else tuple(value))
        for name in ("seed", "max_tokens"):
            object.__setattr__(self, name, operator.index(getattr(self, name)))


@dataclass(frozen=True)
class TextDelta:
    """Event: the next piece of the reply's text."""

    text: str


@dataclass(frozen=True)
class DenoisingProgress:
    """Event: one denoising step of a medium."""

    modality: str
    step: int
    total: int
    preview: Medium | None = None


@dataclass(frozen=True)
class Attribution:
    """Origin of a medium that was retrieved from an index instead of generated."""

    item_id: str
    """Id in the index."""
    caption: str
    source: str
    """Empty if unknown."""
    licence: str
    """Empty if unknown."""
    score: float
    """Cosine similarity of the caption with the request, -1 to 1."""


@dataclass(frozen=True)
class MediumFinished:
    """Event: a medium is complete."""

    medium: Medium
    attribution: Attribution | None = None
    """Origin of a retrieved medium; ``None`` for a generated one."""


@dataclass(frozen=True)
class ReplyFinished:
    """Event: the reply is complete."""

    reply: Reply


Event = TextDelta | DenoisingProgress | MediumFinished | ReplyFinished


@dataclass(frozen=True)
class Reply:
    """A reply: parts in output order."""

    parts: tuple[Part, ...]
    seed: int = 0
    dropped: tuple[str, ...] = ()
    """Parts that the model started and could not finish, described in words."""
    timings_s: Mapping[str, float] = field(default_factory=dict)
    """Seconds per step: encoding, llm, output_projection, image, audio, video, total."""
    truncated_turns: int = 0
    """Oldest turns that the model did not read, because the conversation exceeded its context."""
    warnings: tuple[str, ...] = ()
    """Parts of input files that could not be read, described in words."""
    attributions: Mapping[int, Attribution] = field(default_factory=dict)
    """Origins of the retrieved media by the index of their part; generated media have none."""

    @property
    def message(self) -> Message:
        """The reply as a message of the conversation."""
        return Message("assistant", self.parts)

    @property
    def text(self) -> str:
        """The text of the reply, joined by :class:`TextJoiner`."""
        return self.message.text

    @property
    def images(self) -> list[Image]:
        """Images in output order."""
        return [part for part in self.parts if isinstance(part, Image)]

    @property
    def audios(self) -> list[Audio]:
        """Audio in output order."""
        return [part for part in self.parts if isinstance(part, Audio)]

    @property
    def videos(self) -> list[Video]:
        """Videos in output order."""
        return [part for part in self.parts if isinstance(part, Video)]

    def save(self, folder: str | Path) -> list[Path]:
        """Write every medium under ``folder`` by its :func:`media_filename`; return the paths in order."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        return [
            part.save(folder / media_filename(index, part))
            for index, part in enumerate(self.parts)
            if not isinstance(part, Text)
        ]


def damage_warnings(conversation: Conversation) -> tuple[str, ...]:
    """Return what could not be read of the media of a conversation, for example ``audio 2: it ends after 3 of 9 s``."""
    return tuple(
        f"{medium.modality} {number}: {medium.damage}"
        for number, medium in enumerate(conversation.media, start=1)
        if medium.damage
    )


def media_filename(index: int, medium: Medium) -> str:
    """Return the file name of a reply's part: ``<index>-<modality><suffix>``, index from 0."""
    return f"{index:02d}-{medium.modality}{SUFFIXES[medium.modality]}"
