"""A conversation as a folder: ``conversation.json`` and the media that it names.

::

    [
      {"role": "user", "parts": [{"type": "image", "path": "00-00-image.png"}, {"type": "text", "text": "Hm?"}]},
      {"role": "assistant", "parts": [{"type": "text", "text": "A cat."}]}
    ]
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from nextgpt.errors import ConversationError, accepted_values
from nextgpt.media.save_media import wrap_write_errors
from nextgpt.message import (
    Audio,
    Conversation,
    Depth,
    Image,
    Imu,
    Medium,
    Message,
    Part,
    Role,
    Text,
    Thermal,
    Video,
    media_filename,
)
from nextgpt.text_files import encoding_of

CONVERSATION_FILE = "conversation.json"
SIZE_LIMIT_BYTES = 16 * 1024**2
MEDIA_TYPES: dict[str, type[Medium]] = {kind.modality: kind for kind in (Image, Audio, Video, Depth, Thermal, Imu)}
"""Media types by modality."""


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class TextEntry(_Strict):
    """Text of a message."""

    type: Literal["text"]
    text: str


class MediumEntry(_Strict):
    """A media file, relative to the folder of the JSON."""

    type: Literal["image", "audio", "video", "depth", "thermal", "imu"]
    path: str


class MessageEntry(_Strict):
    """A turn."""

    role: Role
    parts: tuple[Annotated[TextEntry | MediumEntry, Field(discriminator="type")], ...]


ConversationFile = TypeAdapter(tuple[MessageEntry, ...])


def read_conversation(path: Path) -> Conversation:
    """Read a conversation with its media.

    Raises:
        ConversationError: The file is missing, too large, or not of this form.
        MediaError: A medium cannot be read.
    """
    entries = _parse(path, _content(path))
    return Conversation(tuple(_message(entry, path.parent) for entry in entries))


def write_conversation(conversation: Conversation, folder: Path) -> Path:
    """Write a conversation with its media into ``folder``; return the JSON's path. Raises :class:`MediaError`."""
    with wrap_write_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    entries = tuple(_message_entry(message, folder, turn) for turn, message in enumerate(conversation))
    path = folder / CONVERSATION_FILE
    with wrap_write_errors(path):
        path.write_bytes(ConversationFile.dump_json(entries, indent=2) + b"\n")
    return path


def _content(path: Path) -> bytes:
    try:
        if not path.is_file():
            raise ConversationError(
                f"{path} is no file; expected a {CONVERSATION_FILE} written by /save. Check the path."
            )
        if path.stat().st_size > SIZE_LIMIT_BYTES:
            raise ConversationError(
                f"{path} is larger than {SIZE_LIMIT_BYTES // 1024**2} MiB; expected the text of a conversation and "
                "the names of its media. Check the path."
            )
        content = path.read_bytes()
        encoding = encoding_of(content)
        return content if encoding == "utf-8" else content.decode(encoding, errors="replace").encode()
    except OSError as error:
        raise ConversationError(
            f"{path} cannot be read ({error.strerror}); expected a {CONVERSATION_FILE}. Check the path."
        ) from error


def _parse(path: Path, content: bytes) -> tuple[MessageEntry, ...]:
    try:
        return ConversationFile.validate_json(content)
    except ValidationError as error:
        first = error.errors()[0]
        where = f" at {'.'.join(map(str, first['loc']))}" if first["loc"] else ""
        raise ConversationError(
            f"{path}{where}: {accepted_values(first['msg'])}. The file must be a list of messages such as "
            '{"role": "user", "parts": [{"type": "text", "text": "Hello"}]}. Correct it.'
        ) from None


def _message(entry: MessageEntry, folder: Path) -> Message:
    return Message(entry.role, tuple(_part(part, folder) for part in entry.parts))


def _part(entry: TextEntry | MediumEntry, folder: Path) -> Part:
    if isinstance(entry, TextEntry):
        return Text(entry.text)
    return MEDIA_TYPES[entry.type].open(folder / entry.path)


def _message_entry(message: Message, folder: Path, turn: int) -> MessageEntry:
    parts = tuple(_entry(part, folder, turn, place) for place, part in enumerate(message.parts))
    return MessageEntry(role=message.role, parts=parts)


def _entry(part: Part, folder: Path, turn: int, place: int) -> TextEntry | MediumEntry:
    if isinstance(part, Text):
        return TextEntry(type="text", text=part.text)
    path = part.save(folder / f"{turn:02d}-{media_filename(place, part)}")
    return MediumEntry(type=part.modality, path=path.name)
