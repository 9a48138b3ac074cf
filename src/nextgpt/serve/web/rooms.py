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

from nextgpt.message import Conversation, Medium
from nextgpt.modality import MODALITIES
from nextgpt.serve.engine.base import Ticket

ID = re.compile(r"[0-9a-f]{32}")


class Stopped(Exception):
    """The person called the answer off."""


@dataclass(eq=False)
class Room:
    """One browser's conversation, its media as files, and the answer that is being made."""

    id: str
    folder: Path
    conversation: Conversation = field(default_factory=Conversation)
    ticket: Ticket | None = None
    seen_s: float = field(default_factory=time.monotonic)

    def file(self, medium: Medium) -> Path:
        """The medium as a file, written when first asked for; the same medium has the same file."""
        base = MODALITIES.get(medium.modality)
        path = self.folder / f"{medium.modality}-{medium.digest.hex()}{base.suffix if base else ''}"
        return path if path.exists() else medium.save(path)

    def stop(self) -> None:
        """Call the answer off; what was said so far stays."""
        if self.ticket is not None:
            self.ticket.cancel()
            self.ticket.tell(Stopped())


class Rooms:
    """All rooms. The longest unseen make room for others, and none is kept longer than ``keep_s`` after its last use.

    Args:
        most: Rooms at once.
        keep_s: How long a room is kept that nobody enters.
    """

    def __init__(self, *, most: int, keep_s: float) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="nextgpt-chat-"))
        self._most = most
        self._keep_s = keep_s
        self._rooms: dict[str, Room] = {}
        """The longest unseen first."""
        self._lock = threading.Lock()

    def enter(self, room_id: object) -> Room:
        """The room of that id, or a new one where there is none; an id is only ever chosen here."""
        with self._lock:
            room = self._rooms.pop(room_id, None) if isinstance(room_id, str) and ID.fullmatch(room_id) else None
            room = room or self._new()
            room.seen_s = time.monotonic()
            self._rooms[room.id] = room
            self._tidy()
            return room

    def close(self) -> None:
        """Remove everything."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _new(self) -> Room:
        name = secrets.token_hex(16)
        # The folder is named apart from the id: addresses of media are shared more freely than the conversation.
        folder = self.folder / secrets.token_hex(16)
        folder.mkdir()
        return Room(name, folder)

    def _tidy(self) -> None:
        now = time.monotonic()
        for name, room in list(self._rooms.items()):
            if room.ticket is None and (len(self._rooms) > self._most or room.seen_s < now - self._keep_s):
                del self._rooms[name]
                shutil.rmtree(room.folder, ignore_errors=True)
