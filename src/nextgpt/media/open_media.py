"""Open media sources: a path, the bytes of a file, or an open binary file."""

from __future__ import annotations

import io
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nextgpt.errors import MediaError, MissingStreamError
from nextgpt.media.file_types import SNIFFED_BYTES, FileType, id3_size, sniff
from nextgpt.media.limits import MediaLimits, media_error


@dataclass(frozen=True)
class OpenSource:
    """A seekable stream at its start, its name for messages, and its file type."""

    stream: io.BufferedIOBase
    name: str
    type: FileType


@contextmanager
def open_source(source: Any, limits: MediaLimits, modality: str) -> Iterator[OpenSource]:
    """Open ``source`` for reading as ``modality``; files opened here are closed at the end.

    Raises:
        MediaError: The source is missing, no regular file, empty or too large, or its file type cannot hold
            ``modality``.
    """
    stream, name, owned = _stream(source, limits)
    try:
        head = stream.read(SNIFFED_BYTES)
        if (start := id3_size(head)) > 0:
            head += stream.read(start)
        stream.seek(0)
        yield OpenSource(stream, name, _checked_type(head, name, modality))
    finally:
        if owned:
            stream.close()


def read_bytes(source: Any, limits: MediaLimits) -> tuple[bytes, str]:
    """Return the content of ``source`` and its name for messages.

    Raises:
        MediaError: The source is missing, no regular file, empty or too large.
    """
    stream, name, owned = _stream(source, limits)
    try:
        return stream.read(), name
    finally:
        if owned:
            stream.close()


def _stream(source: Any, limits: MediaLimits) -> tuple[io.BufferedIOBase, str, bool]:
    if isinstance(source, (bytes, bytearray, memoryview)):
        _check_size(len(source), "The file", limits)
        return io.BytesIO(source), "The file", True
    if isinstance(source, (str, os.PathLike)):
        path = Path(source)
        return _open_path(path, limits), path.name, True
    if callable(getattr(source, "read", None)):
        name = Path(str(getattr(source, "name", "The file"))).name
        content = source.read(limits.size_bytes + 1)
        if not isinstance(content, bytes):
            raise media_error(name, "is open as text", "a file open for reading bytes", "Open it with mode 'rb'.")
        _check_size(len(content), name, limits)
        return io.BytesIO(content), name, True
    raise MediaError(
        f"A medium was given as {type(source).__name__}; expected a path, bytes or an open binary file. "
        "Open the file and pass it, or pass its path."
    )


def _open_path(path: Path, limits: MediaLimits) -> io.BufferedIOBase:
    try:
        status = path.stat()
        # Devices and pipes may never end.
        if not stat.S_ISREG(status.st_mode):
            kind = "a folder" if stat.S_ISDIR(status.st_mode) else "no regular file"
            raise media_error(str(path), f"is {kind}", "a file", "Check the path.")
        _check_size(status.st_size, path.name, limits)
        return path.open("rb")
    except (OSError, ValueError) as error:
        if isinstance(error, MediaError):
            raise
        reason = getattr(error, "strerror", None) or str(error)
        raise media_error(
            str(path)[:200], f"cannot be opened ({reason})", "a readable file", "Check the path."
        ) from error


def _check_size(size_bytes: int, name: str, limits: MediaLimits) -> None:
    if size_bytes == 0:
        raise media_error(name, "is empty", "an image, audio file or video", "Check that it was copied whole.")
    if size_bytes > limits.size_bytes:
        raise media_error(
            name,
            f"is larger than {limits.size_bytes / 1024**2:.0f} MiB",
            "a smaller file",
            "Shorten or compress it, or raise the limit size_bytes.",
        )


ACCEPTED = {
    "image": "an image (PNG, JPEG, WebP, ...)",
    "audio": "an audio file (WAV, FLAC, MP3, OGG, ...)",
    "video": "a video (MP4, WebM, MOV, ...)",
}


def _checked_type(head: bytes, name: str, modality: str) -> FileType:
    file_type = sniff(head)
    if file_type is None:
        raise media_error(
            name, "has content of unknown type", ACCEPTED[modality], "Check that it is not damaged, or convert it."
        )
    if modality not in file_type.modalities:
        advice = (
            f"Send it as {file_type.modalities[0]}." if file_type.modalities else "Convert it or choose another file."
        )
        raise media_error(name, f"is {file_type.label}", ACCEPTED[modality], advice, MissingStreamError)
    return file_type
