"""Files that are complete or absent under their name, also after a kill."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path


def write_atomically(path: Path, write: Callable[[Path], object], *, sync: bool = False) -> None:
    """Let ``write`` fill a temporary file in the folder of ``path``, then rename it to ``path``.

    Args:
        sync: Flush file and folder to disk, so that a power failure leaves the old file or the new one.
    """
    unfinished = path.with_name(f".{path.name}.unfinished")
    write(unfinished)
    if sync:
        flush(unfinished)
    unfinished.replace(path)
    if sync:
        flush(path.parent)


def flush(path: Path) -> None:
    """Flush a file, or the entries of a folder, to disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
