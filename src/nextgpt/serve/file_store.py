"""Files that clients sent or the model made: kept for a while, within a quota, under names that cannot be guessed.

A file is known to its owner alone: whoever brings another key does not learn that it exists.
"""

from __future__ import annotations

import math
import secrets
import shutil
import tempfile
import threading
import time
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from nextgpt.serve.errors import ApiError

PREFIX = "file-"


@dataclass(frozen=True)
class StoredFile:
    """What is known of a file."""

    id: str
    owner: str
    name: str
    media_type: str
    size_bytes: int
    purpose: str
    created_at: int
    expires_at: int

    def as_openai(self) -> dict[str, object]:
        """The file object of OpenAI's API."""
        return {
            "id": self.id,
            "object": "file",
            "bytes": self.size_bytes,
            "created_at": self.created_at,
            "expires_at": self.expires_at,
            "filename": self.name,
            "purpose": self.purpose,
            "status": "processed",
        }


class FileStore:
    """A folder of files that empties itself.

    Args:
        keep_s: How long a file is kept.
        quota_bytes: Disk that one owner's files may take; the owner's oldest go first.
        quota_files: The same, in files.
    """

    def __init__(self, *, ttl_s: float, max_bytes_per_owner: int, max_files_per_owner: int) -> None:
        self._ttl_s = ttl_s
        self._max_bytes = max_bytes_per_owner
        self._max_files = max_files_per_owner
        self._files: dict[str, StoredFile] = {}
        """The oldest first."""
        self._lock = threading.Lock()

    @cached_property
    def _folder(self) -> Path:
        """Made when the first file comes; nobody else may look into it."""
        return Path(tempfile.mkdtemp(prefix="nextgpt-files-"))

    def put(self, content: bytes, *, owner: str, name: str, media_type: str, purpose: str) -> StoredFile:
        """Keep a file. Raises :class:`ApiError` where it is larger than the whole quota."""
        if len(content) > self._max_bytes:
            raise ApiError(413, f"The file has {len(content):,} bytes; expected at most {self._max_bytes:,}.")
        now = time.time()
        file = StoredFile(
            PREFIX + secrets.token_hex(16),
            owner,
            name,
            media_type,
            len(content),
            purpose,
            int(now),
            math.ceil(now + self._ttl_s),
        )
        with self._lock:
            self._expire(now)
            self._evict(owner, len(content))
            (self._folder / file.id).write_bytes(content)
            self._files[file.id] = file
        return file

    def get(self, file_id: str, owner: str) -> StoredFile:
        """What is known of a file. Raises :class:`ApiError` where there is none of that name."""
        with self._lock:
            self._expire(time.time())
            file = self._files.get(file_id)
        if file is None or file.owner != owner:
            raise ApiError(
                404,
                "No such file; expected the id of one that was uploaded or made lately. Files are kept for "
                f"{self._ttl_s / 60:.0f} minutes; send it again.",
                code="file_not_found",
            )
        return file

    def read(self, file_id: str, owner: str) -> bytes:
        """The bytes of a file. Raises :class:`ApiError` as :meth:`find` does."""
        return (self._folder / self.get(file_id, owner).id).read_bytes()

    def list(self, owner: str) -> list[StoredFile]:
        """An owner's files, the latest first."""
        with self._lock:
            self._expire(time.time())
            return [file for file in reversed(self._files.values()) if file.owner == owner]

    def delete(self, file_id: str, owner: str) -> None:
        """Forget a file. Raises :class:`ApiError` as :meth:`find` does."""
        file = self.get(file_id, owner)
        with self._lock:
            self._remove(file)

    def close(self) -> None:
        """Forget all files."""
        self._files.clear()
        if "_folder" in self.__dict__:
            shutil.rmtree(self._folder, ignore_errors=True)

    def _expire(self, now: float) -> None:
        for file in list(self._files.values()):
            if file.expires_at > now:
                break
            self._remove(file)

    def _evict(self, owner: str, size_bytes: int) -> None:
        own = [file for file in self._files.values() if file.owner == owner]
        total = sum(file.size_bytes for file in own) + size_bytes
        while own and (total > self._max_bytes or len(own) >= self._max_files):
            oldest = own.pop(0)
            total -= oldest.size_bytes
            self._remove(oldest)

    def _remove(self, file: StoredFile) -> None:
        self._files.pop(file.id, None)
        (self._folder / file.id).unlink(missing_ok=True)
