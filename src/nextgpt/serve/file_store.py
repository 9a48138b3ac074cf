"""Uploaded and generated files: kept for a limited time, within a quota per owner, under ids that cannot be guessed.

A file is visible to its owner alone; to others its id does not exist.
"""

from __future__ import annotations

import contextlib
import fcntl
import math
import os
import secrets
import shutil
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from nextgpt.serve.errors import ApiError

FOLDER_PREFIX = "nextgpt-files-"
LOCK_FILE = ".lock"
"""Locked for as long as the server runs that owns the directory."""
MIN_LEFTOVER_AGE_S = 60.0
"""Younger directories may belong to a server that has not locked its own yet."""
PREFIX = "file-"
FILES_PATH = "/v1/files/"


@dataclass(frozen=True)
class StoredFile:
    """Metadata of a file."""

    id: str
    owner: str
    name: str
    media_type: str
    size_bytes: int
    purpose: str
    created_at: int
    expires_at: int


class FileStore:
    """Files in a temporary directory; expired ones are removed at the next access.

    Args:
        ttl_s: Time for which a file is kept.
        max_bytes_per_owner: Disk space per owner; the owner's oldest files are removed first.
        max_files_per_owner: Number of files per owner, likewise.
    """

    def __init__(self, *, ttl_s: float, max_bytes_per_owner: int, max_files_per_owner: int) -> None:
        self._ttl_s = ttl_s
        self._max_bytes = max_bytes_per_owner
        self._max_files = max_files_per_owner
        self._files: dict[str, StoredFile] = {}
        """The oldest first."""
        self._lock = threading.Lock()
        self._lock_fd = -1

    @cached_property
    def folder(self) -> Path:
        """Directory that only this user can read; created with the first file."""
        folder = Path(tempfile.mkdtemp(prefix=FOLDER_PREFIX))
        self._lock_fd = os.open(folder / LOCK_FILE, os.O_CREAT | os.O_RDWR, 0o600)
        fcntl.flock(self._lock_fd, fcntl.LOCK_EX)
        return folder

    def put(
        self, content: bytes, *, owner: str, name: str, media_type: str, purpose: str, file_id: str | None = None
    ) -> StoredFile:
        """Store a file, under a new id if ``file_id`` is absent. Raises :class:`ApiError` beyond the quota."""
        size = len(content)
        if size > self._max_bytes:
            raise ApiError(413, f"The file has {size:,} bytes; expected at most {self._max_bytes:,}.")
        now = time.time()
        expires_at = math.ceil(now + self._ttl_s)
        file_id = file_id or PREFIX + secrets.token_hex(16)
        file = StoredFile(file_id, owner, name, media_type, size, purpose, int(now), expires_at)
        with self._lock:
            self._expire(now)
            self._evict(owner, size)
            (self.folder / file.id).write_bytes(content)
            self._files[file.id] = file
        return file

    def get(self, file_id: str, owner: str) -> StoredFile:
        """Return a file's metadata. Raises :class:`ApiError` if the owner has no such file."""
        with self._lock:
            self._expire(time.time())
            file = self._files.get(file_id)
        if file is None or file.owner != owner:
            raise ApiError(
                404,
                f"No such file. Files are kept for {self._ttl_s / 60:.0f} minutes; upload it again.",
                code="file_not_found",
            )
        return file

    def read(self, file_id: str, owner: str) -> bytes:
        """Return a file's content. Raises :class:`ApiError` if the owner has no such file."""
        return (self.folder / self.get(file_id, owner).id).read_bytes()

    def list(self, owner: str) -> Sequence[StoredFile]:
        """Return an owner's files, the latest first."""
        with self._lock:
            self._expire(time.time())
            return [file for file in reversed(self._files.values()) if file.owner == owner]

    def delete(self, file_id: str, owner: str) -> None:
        """Remove a file. Raises :class:`ApiError` if the owner has no such file."""
        file = self.get(file_id, owner)
        with self._lock:
            self._remove(file)

    def close(self) -> None:
        """Remove all files."""
        self._files.clear()
        if "folder" in self.__dict__:
            shutil.rmtree(self.folder, ignore_errors=True)
            os.close(self._lock_fd)
            del self.folder

    def _expire(self, now: float) -> None:
        for file in tuple(self._files.values()):
            if file.expires_at > now:
                break
            self._remove(file)

    def _evict(self, owner: str, size_bytes: int) -> None:
        """Remove an owner's oldest files until another one of this size fits."""
        own = [file for file in self._files.values() if file.owner == owner]
        total = sum(file.size_bytes for file in own) + size_bytes
        while own and (total > self._max_bytes or len(own) >= self._max_files):
            oldest = own.pop(0)
            total -= oldest.size_bytes
            self._remove(oldest)

    def _remove(self, file: StoredFile) -> None:
        self._files.pop(file.id, None)
        (self.folder / file.id).unlink(missing_ok=True)


def remove_leftovers() -> None:
    """Remove the directories of servers that were killed."""
    for folder in Path(tempfile.gettempdir()).glob(f"{FOLDER_PREFIX}*"):
        with contextlib.suppress(OSError):  # of another user, in use, or removed by another server just now
            if folder.stat().st_uid != os.getuid() or time.time() - folder.stat().st_mtime < MIN_LEFTOVER_AGE_S:
                continue
            with (folder / LOCK_FILE).open("r+b") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder)
