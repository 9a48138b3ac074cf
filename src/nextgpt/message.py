"""What travels between a person and the model: parts, messages, conversations, events and replies.

Everything here is immutable. The module knows nothing about models, tensors of features or tokens; it only knows
what was said, in the order in which it was said.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np

from nextgpt.errors import ConversationError
from nextgpt.modality import SUFFIXES

if TYPE_CHECKING:
    import PIL.Image

Source = str | Path | bytes | io.IOBase
"""Where a medium comes from: a path, the bytes of a file, or an open binary file."""
Role = Literal["system", "user", "assistant"]


@dataclass(frozen=True)
class Text:
    """Words."""

    text: str
    modality: ClassVar[str] = "text"


@dataclass(frozen=True, eq=False)
class Image:
    """A picture, held as an RGB :class:`PIL.Image.Image`."""

    image: PIL.Image.Image
    modality: ClassVar[str] = "image"

    @classmethod
    def open(cls, source: Source) -> Image:
        """Read a picture in any format that Pillow knows. Raises :class:`~nextgpt.errors.MediaError`."""
        from nextgpt.media import read_image

        return read_image(source)

    def save(self, path: str | Path) -> Path:
        """Write the picture in the format of the suffix, PNG where there is none."""
        from nextgpt.media import write_image

        return write_image(self, path)

    @cached_property
    def digest(self) -> bytes:
        """16 bytes that identify the content, for caches."""
        return _digest(self.image.tobytes(), self.image.size)


@dataclass(frozen=True, eq=False)
class Audio:
    """Sound: float32 samples (channels, samples) in [-1, 1] at ``sample_rate_hz``."""

    samples: np.ndarray
    sample_rate_hz: int
    modality: ClassVar[str] = "audio"

    @property
    def duration_s(self) -> float:
        """Length in seconds."""
        return self.samples.shape[-1] / self.sample_rate_hz

    @classmethod
    def open(cls, source: Source) -> Audio:
        """Read a sound in any format that soundfile or FFmpeg knows. Raises :class:`~nextgpt.errors.MediaError`."""
        from nextgpt.media import read_audio

        return read_audio(source)

    def save(self, path: str | Path) -> Path:
        """Write the sound in the format of the suffix, WAV where there is none."""
        from nextgpt.media import write_audio

        return write_audio(self, path)

    @cached_property
    def digest(self) -> bytes:
        """16 bytes that identify the content, for caches."""
        return _digest(np.ascontiguousarray(self.samples).tobytes(), (self.sample_rate_hz,))


@dataclass(frozen=True, eq=False)
class Video:
    """A film: uint8 frames (F, H, W, 3) at ``fps`` frames a second, with sound where it has any."""

    frames: np.ndarray
    fps: float
    audio: Audio | None = None
    modality: ClassVar[str] = "video"

    @property
    def duration_s(self) -> float:
        """Length in seconds."""
        return len(self.frames) / self.fps

    @classmethod
    def open(cls, source: Source) -> Video:
        """Read a film in any container that FFmpeg knows. Raises :class:`~nextgpt.errors.MediaError`."""
        from nextgpt.media import read_video

        return read_video(source)

    def save(self, path: str | Path) -> Path:
        """Write the film in the container of the suffix, MP4 where there is none."""
        from nextgpt.media import write_video

        return write_video(self, path)

    @cached_property
    def digest(self) -> bytes:
        """16 bytes that identify the content, for caches."""
        return _digest(np.ascontiguousarray(self.frames).tobytes(), (self.fps, *self.frames.shape))


@dataclass(frozen=True, eq=False)
class Depth:
    """A depth map: float32 distances (H, W) in metres, 0 where nothing is known. Heard, never answered."""

    metres: np.ndarray
    modality: ClassVar[str] = "depth"

    @classmethod
    def open(cls, source: Source) -> Depth:
        """Read 16-bit PNG or TIFF in millimetres, or NPY in metres. Raises :class:`~nextgpt.errors.MediaError`."""
        from nextgpt.media.sensors import read_depth

        return read_depth(source)

    def save(self, path: str | Path) -> Path:
        """Write it as NPY in metres."""
        from nextgpt.media.sensors import write_array

        return write_array(self.metres, path)

    @cached_property
    def digest(self) -> bytes:
        """16 bytes that identify the content, for caches."""
        return _digest(np.ascontiguousarray(self.metres).tobytes(), ("depth", *self.metres.shape))


@dataclass(frozen=True, eq=False)
class Thermal:
    """A thermal picture: float32 (H, W), 0 is cold and 1 is warm. Heard, never answered."""

    values: np.ndarray
    modality: ClassVar[str] = "thermal"

    @classmethod
    def open(cls, source: Source) -> Thermal:
        """Read 8- or 16-bit PNG or TIFF, or NPY. Raises :class:`~nextgpt.errors.MediaError`."""
        from nextgpt.media.sensors import read_thermal

        return read_thermal(source)

    def save(self, path: str | Path) -> Path:
        """Write it as NPY."""
        from nextgpt.media.sensors import write_array

        return write_array(self.values, path)

    @cached_property
    def digest(self) -> bytes:
        """16 bytes that identify the content, for caches."""
        return _digest(np.ascontiguousarray(self.values).tobytes(), ("thermal", *self.values.shape))


@dataclass(frozen=True, eq=False)
class Imu:
    """Inertial measurements: float32 (6, samples), acceleration then rotation of three axes. Heard, never answered."""

    samples: np.ndarray
    sample_rate_hz: float
    modality: ClassVar[str] = "imu"

    @classmethod
    def open(cls, source: Source) -> Imu:
        """Read a CSV that states its rate. Raises :class:`~nextgpt.errors.MediaError`."""
        from nextgpt.media.sensors import read_imu

        return read_imu(source)

    def save(self, path: str | Path) -> Path:
        """Write it as CSV with its rate."""
        from nextgpt.media.sensors import write_imu

        return write_imu(self, path)

    @cached_property
    def digest(self) -> bytes:
        """16 bytes that identify the content, for caches."""
        return _digest(
            np.ascontiguousarray(self.samples).tobytes(), ("imu", self.sample_rate_hz, *self.samples.shape)
        )


Medium = Image | Audio | Video | Depth | Thermal | Imu
Part = Text | Medium
Says = str | Part | Iterable[str | Part]
"""What a person may say: words, a medium, or a list of both."""


@dataclass(frozen=True)
class Message:
    """One turn of a conversation: parts in the order in which they were said."""

    role: Role
    parts: tuple[Part, ...]

    @classmethod
    def of(cls, role: Role, says: Says) -> Message:
        """Build a message from words, a medium, or a list of both."""
        items = [says] if isinstance(says, str | Part) else list(says)
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
        """The words of the message, joined."""
        return "".join(part.text for part in self.parts if isinstance(part, Text))

    @property
    def media(self) -> tuple[Medium, ...]:
        """The media of the message, in order."""
        return tuple(part for part in self.parts if not isinstance(part, Text))


@dataclass(frozen=True)
class Conversation:
    """Messages in order. Saying something gives a new conversation; the old one is unharmed."""

    messages: tuple[Message, ...] = ()

    def say(self, says: Says, role: Role = "user") -> Conversation:
        """The conversation with one more message."""
        return replace(self, messages=(*self.messages, Message.of(role, says)))

    def answer(self, reply: Reply) -> Conversation:
        """The conversation with the model's reply as its last message."""
        return replace(self, messages=(*self.messages, reply.message))

    @property
    def media(self) -> tuple[Medium, ...]:
        """All media of the conversation, in order."""
        return tuple(medium for message in self.messages for medium in message.media)

    def last_medium(self, modality: str) -> Medium | None:
        """The medium of ``modality`` that was said last, by whomever."""
        return next((medium for medium in reversed(self.media) if medium.modality == modality), None)

    def __iter__(self) -> Iterator[Message]:
        return iter(self.messages)

    def __len__(self) -> int:
        return len(self.messages)


@dataclass(frozen=True)
class Sampling:
    """How an answer is made. ``None`` means the model's own default."""

    seed: int = 0
    """Same model, conversation and seed give the same answer."""
    max_tokens: int = 256
    temperature: float = 0.0
    """0 takes the likeliest token; above, tokens are drawn."""
    top_p: float = 1.0
    stop: tuple[str, ...] = ()
    """Text at which the answer ends; it is not part of the answer."""
    modalities: tuple[str, ...] | None = None
    """What may be answered, e.g. ``("text", "image")``; ``None`` leaves it to the model."""
    steps: int | Mapping[str, int] | None = None
    """Denoising steps, for all media or by modality."""
    guidance: float | Mapping[str, float] | None = None
    """Classifier-free guidance scale, for all media or by modality."""


@dataclass(frozen=True)
class TextPiece:
    """Event: some more words of the answer."""

    text: str


@dataclass(frozen=True)
class Progress:
    """Event: one denoising step of a medium that is being made."""

    modality: str
    step: int
    total: int
    preview: Medium | None = None


@dataclass(frozen=True)
class Finished:
    """Event: the answer is complete."""

    reply: Reply


Event = TextPiece | Progress | Image | Audio | Video | Finished


@dataclass(frozen=True)
class Reply:
    """An answer: parts in the order in which the model spoke."""

    parts: tuple[Part, ...]
    seed: int = 0
    dropped: tuple[str, ...] = ()
    """What the model began and could not finish, in words."""
    timings_s: Mapping[str, float] = field(default_factory=dict)
    """Seconds a step: encoding, llm, output_projection, image, audio, video, total."""

    @property
    def message(self) -> Message:
        """The reply as a message of the conversation."""
        return Message("assistant", self.parts)

    @property
    def text(self) -> str:
        """All words of the answer, joined."""
        return self.message.text

    @property
    def images(self) -> list[Image]:
        """The pictures in speaking order."""
        return [part for part in self.parts if isinstance(part, Image)]

    @property
    def audios(self) -> list[Audio]:
        """The sounds in speaking order."""
        return [part for part in self.parts if isinstance(part, Audio)]

    @property
    def videos(self) -> list[Video]:
        """The films in speaking order."""
        return [part for part in self.parts if isinstance(part, Video)]

    def save(self, folder: str | Path) -> list[Path]:
        """Write every medium under ``folder`` by its :func:`file_name`; return the paths in order."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        return [
            part.save(folder / file_name(position, part))
            for position, part in enumerate(self.parts)
            if not isinstance(part, Text)
        ]


def file_name(position: int, medium: Medium) -> str:
    """What the file of a reply's part is called: ``<position>-<modality><suffix>``, position from 0."""
    return f"{position:02d}-{medium.modality}{SUFFIXES[medium.modality]}"


def _digest(content: bytes, shape: object) -> bytes:
    return blake2b(content + repr(shape).encode(), digest_size=16).digest()
