"""Append-only file of JSON lines. A row is on disk before it is confirmed, and nothing is ever rewritten."""

from __future__ import annotations

import fcntl
import json
import os
import threading
from pathlib import Path
from types import TracebackType
from typing import Any

from nextgpt.atomic_files import flush
from nextgpt.errors import ConfigError
from nextgpt.media.save_media import wrap_write_errors

Row = dict[str, Any]


class Journal:
    """Rows of a file that one process appends to.

    A last line that was cut by a crash was never confirmed; it is removed before the first row is appended.

    Raises:
        ConfigError: Another process writes the file, or a line is not a JSON object.
        MediaError: The file cannot be written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()
        with wrap_write_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            is_new = not path.exists()
            self._file = path.open("ab")
        try:
            _lock(self._file.fileno(), path)
            self.rows = read_rows(path)
            _end_last_line(path, self.rows)
        except BaseException:
            self._file.close()
            raise
        if is_new:
            flush(path.parent)

    def append(self, row: Row) -> None:
        """Append one row and return when it is on disk."""
        line = json.dumps(row, ensure_ascii=False).encode() + b"\n"
        with self._lock, wrap_write_errors(self.path):
            self._file.write(line)
            self._file.flush()
            os.fsync(self._file.fileno())
            self.rows.append(row)

    def close(self) -> None:
        """Close the file and let other processes write it."""
        self._file.close()

    def __enter__(self) -> Journal:
        """Return the open journal."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the file."""
        self.close()


def read_rows(path: Path) -> list[Row]:
    """Return the complete rows of a journal. Raises :class:`ConfigError`; a cut last line is ignored."""
    try:
        lines = path.read_bytes().splitlines(keepends=True)
    except OSError as error:
        raise ConfigError(
            f"{path} cannot be read ({error.strerror}); expected a file of JSON lines. Check the path."
        ) from None
    rows = []
    for number, line in enumerate(lines, 1):
        row = _parse(line)
        if row is not None:
            rows.append(row)
        elif line.strip() and (number < len(lines) or line.endswith(b"\n")):
            raise ConfigError(f"{path}, line {number} is not a JSON object. Restore the line, or remove it.")
    return rows


def _parse(line: bytes) -> Row | None:
    try:
        value = json.loads(line)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


def _end_last_line(path: Path, rows: list[Row]) -> None:
    """Remove a cut last line; give a complete one without a line break its line break."""
    content = path.read_bytes()
    if not content or content.endswith(b"\n"):
        return
    last = content.rpartition(b"\n")[2]
    if _parse(last) is None:
        os.truncate(path, len(content) - len(last))
    else:
        with path.open("ab") as file:
            file.write(b"\n")


def _lock(descriptor: int, path: Path) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        raise ConfigError(f"{path} is in use by another process. Stop it, or choose another file.") from None
