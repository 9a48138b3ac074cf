"""Media types: everything that a conversation holds besides text. Immutable; knows no message and no model."""

from __future__ import annotations

import io
from dataclasses import dataclass
from functools import cached_property
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import numpy as np

if TYPE_CHECKING:
    import PIL.Image

MediaSource = str | Path | bytes | io.IOBase
"""A path, the bytes of a file, or an open binary file."""


@dataclass(frozen=True, eq=False)
class Image:
    """A picture, held as an RGB :class:`PIL.Image.Image`."""

    image: PIL.Image.Image
    modality: ClassVar[str] = "image"

    @classmethod
    def open(cls, source: MediaSource) -> Image:
        """Read a picture in any format that Pillow knows. Raises :class:`~nextgpt.errors.MediaError`."""
        from nextgpt.media import read_image

        return read_image(source)

    def save(self, path: str | Path) -> Path:
        """Write the picture in the format of the suffix, PNG where there is none."""
        from nextgpt.media import write_image

        return write_image(self, path)

    @cached_property
    def digest(self) -> bytes:
        """16 bytes that identify the content, for caches."""
        return _digest(self.image.tobytes(), self.image.size)


@dataclass(frozen=True, eq=False)
class Audio:
    """Sound: float32 samples (channels, samples) in [-1, 1] at ``sample_rate_hz``."""

    samples: np.ndarray
    sample_rate_hz: int
    modality: ClassVar[str] = "audio"

    @property
    def duration_s(self) -> float:
        """Length in seconds."""
        return self.samples.shape[-1] / self.sample_rate_hz

    @classmethod
    def open(cls, source: MediaSource) -> Audio:
        """Read a sound in any format that soundfile or FFmpeg knows. Raises :class:`~nextgpt.errors.MediaError`."""
        from nextgpt.media import read_audio

        return read_audio(source)

    def save(self, path: str | Path) -> Path:
        """Write the sound in the format of the suffix, WAV where there is none."""
        from nextgpt.media import write_audio

        return write_audio(self, path)

    @cached_property
    def digest(self) -> bytes:
        """16 bytes that identify the content, for caches."""
        return _digest(np.ascontiguousarray(self.samples).tobytes(), (self.sample_rate_hz,))


@dataclass(frozen=True, eq=False)
class Video:
    """A film: uint8 frames (F, H, W, 3) at ``fps`` frames a second, with sound where it has any."""

    frames: np.ndarray
    fps: float
    audio: Audio | None = None
    modality: ClassVar[str] = "video"

    @property
    def duration_s(self) -> float:
        """Length in seconds."""
        return len(self.frames) / self.fps

    @classmethod
    def open(cls, source: MediaSource) -> Video:
        """Read a film in any container that FFmpeg knows. Raises :class:`~nextgpt.errors.MediaError`."""
        from nextgpt.media import read_video

        return read_video(source)

    def save(self, path: str | Path) -> Path:
        """Write the film in the container of the suffix, MP4 where there is none."""
        from nextgpt.media import write_video

        return write_video(self, path)

    @cached_property
    def digest(self) -> bytes:
        """16 bytes that identify the content, for caches."""
        return _digest(np.ascontiguousarray(self.frames).tobytes(), (self.fps, *self.frames.shape))


@dataclass(frozen=True, eq=False)
class Depth:
    """A depth map: float32 distances (H, W) in metres, 0 where nothing is known. Heard, never answered."""

    metres: np.ndarray
    modality: ClassVar[str] = "depth"

    @classmethod
    def open(cls, source: MediaSource) -> Depth:
        """Read 16-bit PNG or TIFF in millimetres, or NPY in metres. Raises :class:`~nextgpt.errors.MediaError`."""
        from nextgpt.media.sensors import read_depth

        return read_depth(source)

    def save(self, path: str | Path) -> Path:
        """Write it as NPY in metres."""
        from nextgpt.media.sensors import write_array

        return write_array(self.metres, path)

    @cached_property
    def digest(self) -> bytes:
        """16 bytes that identify the content, for caches."""
        return _digest(np.ascontiguousarray(self.metres).tobytes(), ("depth", *self.metres.shape))


@dataclass(frozen=True, eq=False)
class Thermal:
    """A thermal picture: float32 (H, W), 0 is cold and 1 is warm. Heard, never answered."""

    values: np.ndarray
    modality: ClassVar[str] = "thermal"

    @classmethod
    def open(cls, source: MediaSource) -> Thermal:
        """Read 8- or 16-bit PNG or TIFF, or NPY. Raises :class:`~nextgpt.errors.MediaError`."""
        from nextgpt.media.sensors import read_thermal

        return read_thermal(source)

    def save(self, path: str | Path) -> Path:
        """Write it as NPY."""
        from nextgpt.media.sensors import write_array

        return write_array(self.values, path)

    @cached_property
    def digest(self) -> bytes:
        """16 bytes that identify the content, for caches."""
        return _digest(np.ascontiguousarray(self.values).tobytes(), ("thermal", *self.values.shape))


@dataclass(frozen=True, eq=False)
class Imu:
    """Inertial measurements: float32 (6, samples), acceleration then rotation of three axes. Heard, never answered."""

    samples: np.ndarray
    sample_rate_hz: float
    modality: ClassVar[str] = "imu"

    @classmethod
    def open(cls, source: MediaSource) -> Imu:
        """Read a CSV that states its rate. Raises :class:`~nextgpt.errors.MediaError`."""
        from nextgpt.media.sensors import read_imu

        return read_imu(source)

    def save(self, path: str | Path) -> Path:
        """Write it as CSV with its rate."""
        from nextgpt.media.sensors import write_imu

        return write_imu(self, path)

    @cached_property
    def digest(self) -> bytes:
        """16 bytes that identify the content, for caches."""
        return _digest(
            np.ascontiguousarray(self.samples).tobytes(), ("imu", self.sample_rate_hz, *self.samples.shape)
        )


Medium = Image | Audio | Video | Depth | Thermal | Imu


def _digest(content: bytes, shape: object) -> bytes:
    return blake2b(content + repr(shape).encode(), digest_size=16).digest()
