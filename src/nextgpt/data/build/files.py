"""Files of a build that are complete or absent, even after a kill or a power failure."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from nextgpt.errors import ConfigError
from nextgpt.media.save_media import wrap_write_errors

_UNFINISHED = ".unfinished-"


def write_atomically(path: Path, content: str | bytes) -> Path:
    """Write a file under a temporary name, sync it, then rename it."""
    data = content.encode() if isinstance(content, str) else content

    def write(unfinished: Path) -> None:
        unfinished.write_bytes(data)

    return save_atomically(path, write)


def save_atomically(path: Path, write: Callable[[Path], object]) -> Path:
    """Let ``write`` fill a temporary file of the same suffix, sync it, then rename it to ``path``."""
    unfinished = path.with_name(f"{_UNFINISHED}{os.getpid()}-{path.name}")
    with wrap_write_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            write(unfinished)
            with unfinished.open("rb") as file:
                os.fsync(file.fileno())
            unfinished.replace(path)
        finally:
            unfinished.unlink(missing_ok=True)
    return path


def remove_unfinished(folder: Path) -> None:
    """Remove the temporary files that a killed process left in ``folder``; hold its lock."""
    for path in folder.rglob(f"{_UNFINISHED}*"):
        path.unlink()


@contextmanager
def lock_directory(folder: Path) -> Iterator[None]:
    """Hold a lock so that one process at a time builds in ``folder``. Raises :class:`ConfigError`."""
    with wrap_write_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        file = (folder / ".lock").open("w")
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise ConfigError(
                f"{folder} is in use by another build; expected one process per work directory. "
                "Wait for it, or set another directory with work=DIR."
            ) from None
        yield
