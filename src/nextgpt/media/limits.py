"""Limits for decoding one medium.

Headers are checked before anything is decoded; sizes are counted again while decoding, because headers can be wrong.
"""

from __future__ import annotations

import io
import math
import os
import time
from collections.abc import Iterable
from dataclasses import dataclass, fields
from functools import lru_cache
from typing import Any

from nextgpt.errors import ConfigError, MediaError, unknown_name_message

LIMITS_VARIABLE = "NEXTGPT_MEDIA_LIMITS"
"""Environment variable with other limits than the defaults, such as ``frames=3000,duration_s=1200``."""
_RATES_HZ = (1_000, 768_000)


@dataclass(frozen=True)
class MediaLimits:
    """Upper bounds for reading one file.

    Pass your own to the reading functions; :data:`LIMITS_VARIABLE`, ``--media-limit`` and ``media_limits`` in a recipe
    set the default.
    """

    size_bytes: int = 256 * 1024**2
    """Size of the file itself."""
    pixels: int = 50_000_000
    """Width times height of an image, or of one video frame."""
    image_pixels: int = 2**31 - 1
    """Larger images are scaled down to this many pixels while they are read; by default, they stay as they are."""
    duration_s: float = 600.0
    """Length of audio or video."""
    samples: int = 60_000_000
    """Audio samples, all channels together: 240 MB as float32, ten minutes in stereo at 48 kHz."""
    frames: int = 1_200
    """Frames of a video: 40 s at 30 frames per second."""
    frame_short_side_px: int = 256
    """Video frames are scaled down to this shorter side while they are read; encoders take 224 pixels."""
    frame_pixels: int = 256 * 640
    """Maximum pixels per video frame after scaling; only frames wider than 5:2 are scaled down further."""
    time_s: float = 20.0
    """Wall-clock time for decoding."""

    @classmethod
    def default(cls) -> MediaLimits:
        """Return the limits of :data:`LIMITS_VARIABLE`. Raises :class:`ConfigError` if it is invalid."""
        return parse_limits(tuple(filter(None, os.environ.get(LIMITS_VARIABLE, "").split(","))))


@lru_cache
def parse_limits(settings: tuple[str, ...]) -> MediaLimits:
    """Return the limits with ``settings`` such as ``frames=3000``. Raises :class:`ConfigError`."""
    known = {field.name: type(field.default) for field in fields(MediaLimits)}
    values: dict[str, Any] = {}
    for setting in settings:
        name, _, text = (piece.strip() for piece in setting.partition("="))
        if name not in known:
            raise ConfigError(unknown_name_message("media limit", name, known))
        try:
            values[name] = known[name](text)
        except ValueError:
            values[name] = 0
        if not 0 < values[name] < math.inf:
            raise ConfigError(f"media limit {name} is {text!r}; expected a number above 0, such as {name}=3000.")
    return MediaLimits(**values)


def set_default_limits(settings: Iterable[str]) -> None:
    """Set the default limits of this process and its children. Raises :class:`ConfigError`."""
    settings = tuple(settings)
    parse_limits(settings)
    if settings:
        os.environ[LIMITS_VARIABLE] = ",".join(settings)


class Deadline:
    """Time limit of a decoder."""

    def __init__(self, name: str, limits: MediaLimits) -> None:
        self._name, self._time_s = name, limits.time_s
        self._end = time.monotonic() + limits.time_s

    def check(self) -> None:
        """Raise :class:`MediaError` if the time is up."""
        if time.monotonic() > self._end:
            raise media_error(
                self._name,
                f"was still being decoded after {self._time_s:g} s",
                "a file that decodes faster",
                "Send a shorter or smaller file, or raise the limit time_s.",
            )


class DeadlineStream(io.RawIOBase):
    """A stream that checks a deadline on every read, which also stops decoders that never end."""

    def __init__(self, stream: io.BufferedIOBase, deadline: Deadline) -> None:
        super().__init__()
        self._stream, self._deadline = stream, deadline

    def read(self, size: int = -1, /) -> bytes:
        """Read the next bytes. Raises :class:`MediaError` if the time is up."""
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


def check_audio_size(name: str, frames: int, channels: int, rate_hz: int, limits: MediaLimits) -> None:
    """Raise :class:`MediaError` if audio of ``frames`` samples per channel is too long or its rate is invalid."""
    low, high = _RATES_HZ
    if not low <= rate_hz <= high:
        raise media_error(
            name, f"has {rate_hz} samples per second", f"{low:,} to {high:,}", "Resample it, e.g. to 16,000."
        )
    if frames > limits.duration_s * rate_hz or frames * channels > limits.samples:
        raise media_error(
            name,
            f"lasts {frames / rate_hz:,.0f} s or more with {channels} channel(s)",
            f"at most {limits.duration_s:,.0f} s and {limits.samples:,} samples",
            "Cut it, or raise the limits duration_s and samples.",
        )
