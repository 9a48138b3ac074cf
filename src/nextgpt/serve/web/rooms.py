"""Conversations that live on the server, under ids that cannot be guessed, so that a reload finds them again."""

from __future__ import annotations

import re
import secrets
import shutil
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

from nextgpt.errors import ConversationError
from nextgpt.message import Audio, Conversation, Image, Medium, Part, Text, Video
from nextgpt.modality import SUFFIXES
from nextgpt.serve.engine.base import Ticket
from nextgpt.serve.web.details import Details

ID = re.compile(r"[0-9a-f]{32}")


class Stopped(Exception):
    """The person called the answer off."""


def file_name(medium: Medium) -> str:
    """What a medium's file is called: by its content, so that the same medium has the same file."""
    return f"{medium.modality}-{medium.digest.hex()}{SUFFIXES[medium.modality]}"


def size_bytes(medium: Medium) -> int:
    """Memory that a medium takes, as it is decoded."""
    if isinstance(medium, Image):
        return 3 * medium.image.width * medium.image.height
    if isinstance(medium, Audio):
        return int(medium.samples.nbytes)
    if isinstance(medium, Video):
        return int(medium.frames.nbytes) + (size_bytes(medium.audio) if medium.audio else 0)
    return 0


@dataclass(eq=False)
class Room:
    """One conversation of a browser, its media as files, and the answer that is being made."""

    id: str
    folder: Path
    conversation: Conversation = field(default_factory=Conversation)
    ticket: Ticket | None = None
    details: dict[int, Details] = field(default_factory=dict)
    """Of the turns that were answered here, by their place in the conversation."""
    saying: tuple[Part, ...] = ()
    """What the answer that is being made holds so far."""
    seen_s: float = field(default_factory=time.monotonic)
    _attached: dict[str, Medium] = field(default_factory=dict)
    """What was sent ahead of a message, the oldest first."""

    @property
    def size_bytes(self) -> int:
        """Memory that its media take."""
        return sum(size_bytes(medium) for medium in (*self.conversation.media, *self._attached.values()))

    def attach(self, medium: Medium, *, most: int) -> Medium:
        """Keep a medium for the next message; the oldest beyond ``most`` is forgotten."""
        self._attached[file_name(medium)] = medium
        for name in list(self._attached)[:-most]:
            del self._attached[name]
        return medium

    def medium(self, name: str) -> Medium:
        """What was attached or said under that file name. Raises :class:`ConversationError`."""
        if name in self._attached:
            return self._attached[name]
        said = (*self.conversation.media, *(part for part in self.saying if not isinstance(part, Text)))
        found = next((medium for medium in said if file_name(medium) == name), None)
        if found is None:
            raise ConversationError(
                "A file was named that is not kept any more; expected one of this conversation. Attach it again."
            )
        return found

    def file(self, name: str) -> Path:
        """The file of a medium, written when first asked for. Raises :class:`ConversationError`."""
        return self.file_of(self.medium(name))

    def file_of(self, medium: Medium) -> Path:
        """The file of a medium of this room, written when first asked for."""
        path = self.folder / file_name(medium)
        if not path.exists():
            # Written beside and moved, so that nobody reads half of it.
            medium.save(self.folder / f"{secrets.token_hex(4)}-{path.name}").rename(path)
        return path

    def stop(self) -> None:
        """Call the answer off; what was said so far stays."""
        if self.ticket is not None:
            self.ticket.cancel()
            self.ticket.tell(Stopped())


class Rooms:
    """All rooms. The longest unseen make room for others, and none is kept longer than ``keep_s`` after its last use.

    Args:
        most: Rooms at once.
        most_bytes: Memory of all media together.
        keep_s: How long a room is kept that nobody enters.
    """

    def __init__(self, *, most: int, keep_s: float, most_bytes: int = 2**30) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="nextgpt-chat-"))
        self._most = most
        self._most_bytes = most_bytes
        self._keep_s = keep_s
        self._rooms: dict[str, Room] = {}
        """The longest unseen first."""
        self._lock = threading.Lock()

    def enter(self, room_id: object) -> Room:
        """The room of that id, or a new one where there is none; an id is only ever chosen here."""
        with self._lock:
            room = (
                self._rooms.pop(room_id, None) if isinstance(room_id, str) and ID.fullmatch(room_id) else None
            )
            room = room or self._new()
            room.seen_s = time.monotonic()
            self._rooms[room.id] = room
            self._tidy()
            return room

    def find(self, room_id: str) -> Room | None:
        """The room of that id, if there is one."""
        with self._lock:
            room = self._rooms.get(room_id)
            if room is not None:
                room.seen_s = time.monotonic()
            return room

    def leave(self, room_id: str) -> None:
        """Forget a conversation, with its files."""
        with self._lock:
            room = self._rooms.pop(room_id, None)
            if room is not None:
                room.stop()
                shutil.rmtree(room.folder, ignore_errors=True)

    def close(self) -> None:
        """Remove everything."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _new(self) -> Room:
        name = secrets.token_hex(16)
        folder = self.folder / name
        folder.mkdir()
        return Room(name, folder)

    def _tidy(self) -> None:
        """Close rooms that are old or too many, the longest unseen first; never the latest, or one that is answered."""
        now, many = time.monotonic(), len(self._rooms)
        size = sum(room.size_bytes for room in self._rooms.values())
        for name, room in list(self._rooms.items())[:-1]:
            is_kept = many <= self._most and size <= self._most_bytes and room.seen_s >= now - self._keep_s
            if is_kept or room.ticket is not None:
                continue
            many, size = many - 1, size - room.size_bytes
            del self._rooms[name]
            shutil.rmtree(room.folder, ignore_errors=True)
