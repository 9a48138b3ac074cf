"""How much one medium may cost. Headers are checked against it before anything is decoded, and the count goes on
while decoding, because headers lie."""

from __future__ import annotations

import io
import time
from dataclasses import dataclass

from nextgpt.errors import MediaError


@dataclass(frozen=True)
class MediaLimits:
    """The most that reading one file may take. Raise a limit by passing your own to the reading function."""

    size_bytes: int = 256 * 1024**2
    """Size of the file itself."""
    pixels: int = 50_000_000
    """Width times height of a picture, or of one frame of a film."""
    duration_s: float = 600.0
    """Length of a sound or film."""
    samples: int = 60_000_000
    """Audio samples, all channels together: 240 MB as float32, ten minutes in stereo at 48 kHz."""
    frames: int = 1_200
    """Frames of a film: 40 s at 30 frames a second."""
    frame_short_side_px: int = 256
    """Video frames are scaled down to this shorter side while they are read; encoders take 224 pixels."""
    frame_pixels: int = 256 * 640
    """Maximum pixels per video frame after scaling; only frames wider than 5:2 are scaled down further."""
    time_s: float = 20.0
    """Wall-clock time that decoding may take."""


class Deadline:
    """A clock that stops a decoder which takes too long."""

    def __init__(self, name: str, limits: MediaLimits) -> None:
        self._name, self._time_s = name, limits.time_s
        self._end = time.monotonic() + limits.time_s

    def check(self) -> None:
        """Raise :class:`MediaError` when the time is up."""
        if time.monotonic() > self._end:
            raise media_error(
                self._name,
                f"was still being decoded after {self._time_s:g} s",
                "a file that decodes faster",
                "Send a shorter or smaller file, or raise MediaLimits.time_s.",
            )


class DeadlineStream(io.RawIOBase):
    """A stream whose every read looks at the clock, which stops decoders that ask for more and more."""

    def __init__(self, stream: io.BufferedIOBase, deadline: Deadline) -> None:
        super().__init__()
        self._stream, self._deadline = stream, deadline

    def read(self, size: int = -1, /) -> bytes:
        """The next bytes. Raises :class:`MediaError` when the time is up."""
        self._deadline.check()
        return self._stream.read(size)

    def seek(self, offset: int, whence: int = 0, /) -> int:
        return self._stream.seek(offset, whence)

    def tell(self) -> int:
        return self._stream.tell()

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True


def media_error(
    name: str, problem: str, expected: str, advice: str, error: type[MediaError] = MediaError
) -> MediaError:
    """Build an error in three parts: ``media_error("a.png", "is empty", "an image", "Check the file.")``."""
    return error(f"{name} {problem}; expected {expected}. {advice}")
