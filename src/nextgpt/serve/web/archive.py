"""A conversation as a ZIP: ``conversation.json`` as ``/save`` writes it, and its media. What comes in is distrusted.

Names are looked up among the archive's own and never become paths; sizes are counted while they are unpacked, as
headers lie; media are decoded by whoever is passed in, which the server does in a process with limits.
"""

from __future__ import annotations

import io
import tempfile
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from nextgpt.cli.transcript import FILE, MediumEntry, MessageEntry, TextEntry, Transcript, write_conversation
from nextgpt.errors import ConversationError
from nextgpt.message import Conversation, Medium, Message, Part, Text

Decode = Callable[[str, bytes], Medium]
"""A medium of the named modality from the bytes of its file. Raises :class:`MediaError`."""


@dataclass(frozen=True)
class ArchiveLimits:
    """The most that an archive may cost."""

    entries: int = 257
    messages: int = 512
    words_bytes: int = 4 * 2**20
    """Size of ``conversation.json``."""
    medium_bytes: int = 32 * 2**20
    total_bytes: int = 256 * 2**20
    """Everything unpacked."""


def pack(conversation: Conversation, path: Path) -> Path:
    """Write the conversation as a ZIP; return ``path``."""
    with tempfile.TemporaryDirectory(prefix="nextgpt-") as folder:
        write_conversation(conversation, Path(folder))
        with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:  # media are compressed already
            for file in sorted(Path(folder).iterdir()):
                archive.write(file, file.name)
    return path


def unpack(content: bytes, decode: Decode, limits: ArchiveLimits = ArchiveLimits()) -> Conversation:
    """Read a conversation that :func:`pack` wrote.

    Raises:
        ConversationError: It is no such archive, or larger than the limits allow.
        MediaError: A medium cannot be read.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            return _read(_Source(archive, limits), decode)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, OSError) as error:
        raise _refusal("is damaged, encrypted or no ZIP") from error


def _read(source: _Source, decode: Decode) -> Conversation:
    try:
        entries = Transcript.validate_json(source.read(FILE, source.limits.words_bytes))
    except ValidationError as error:
        raise _refusal(f"has a {FILE} of another form ({str(error.errors()[0]['msg'])[:100]})") from None
    if len(entries) > source.limits.messages:
        raise _refusal(f"has {len(entries)} messages, more than {source.limits.messages},")
    return Conversation(tuple(_message(entry, source, decode) for entry in entries))


def _message(entry: MessageEntry, source: _Source, decode: Decode) -> Message:
    return Message(entry.role, tuple(_part(part, source, decode) for part in entry.parts))


def _part(entry: TextEntry | MediumEntry, source: _Source, decode: Decode) -> Part:
    if isinstance(entry, TextEntry):
        return Text(entry.text)
    return decode(entry.type, source.read(entry.path, source.limits.medium_bytes))


class _Source:
    """The files of an archive, each read at most once, all together at most so much."""

    def __init__(self, archive: zipfile.ZipFile, limits: ArchiveLimits) -> None:
        names = archive.namelist()
        if len(names) > limits.entries or len(set(names)) != len(names):
            raise _refusal(f"has more than {limits.entries} files, or one name twice,")
        self.limits = limits
        self._archive = archive
        self._names = set(names)
        self._left = limits.total_bytes

    def read(self, name: str, most_bytes: int) -> bytes:
        """The bytes of a file. Raises :class:`ConversationError` where it is missing, named twice or too large."""
        if name not in self._names:
            raise _refusal(f"lacks the file {name[:80]!r}, or names it twice,")
        self._names.discard(name)
        most_bytes = min(most_bytes, self._left)
        with self._archive.open(name) as file:
            content = file.read(most_bytes + 1)
        if len(content) > most_bytes:
            raise _refusal(f"unpacks to more than {most_bytes / 2**20:.0f} MiB at {name[:80]!r}")
        self._left -= len(content)
        return content


def _refusal(came: str) -> ConversationError:
    return ConversationError(
        f"The archive {came}; expected a conversation that was exported here. Choose another file."
    )
