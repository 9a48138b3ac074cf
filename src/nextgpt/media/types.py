"""Media types: everything that a conversation holds besides text. Immutable; independent of messages and models.

Constructors convert what is unambiguous (tensors, integer samples, floats in [0, 1], one channel without an axis) and
refuse the rest with a :class:`~nextgpt.errors.MediaError`.
"""

from __future__ import annotations

import io
import math
from dataclasses import dataclass
from functools import cached_property
from hashlib import blake2b
from pathlib import Path
from typing import Any, ClassVar, SupportsFloat, TypeVar

import numpy as np
import PIL.Image

from nextgpt.media.limits import media_error
from nextgpt.media.samples import MAX_PEAK

MediaSource = str | Path | bytes | io.IOBase
"""A path, the bytes of a file, or an open binary file."""

ArrayLike = Any
"""A NumPy array, a tensor, or nested sequences of numbers."""

MAX_CHANNELS = 32
"""Maximum audio channels; an array with more rows and fewer columns is taken as (samples, channels)."""
IMU_AXES = 6
_INTEGER_AUDIO = {"uint8": (128.0, 128.0), "int16": (0.0, 2.0**15), "int32": (0.0, 2.0**31)}
"""Offset and scale of integer samples, by dtype."""


File = TypeVar("File", bound="_MediaFile")


class _MediaFile:
    """Reading and writing of all media."""

    modality: ClassVar[str]
    damage: str = ""
    """Description of what could not be read of the file; empty if nothing was lost."""

    def note_damage(self: File, damage: str) -> File:
        """Note what was lost of the file that this medium was just read from."""
        object.__setattr__(self, "damage", damage)
        return self

    @classmethod
    def open(cls: type[File], source: MediaSource) -> File:
        """Read a file in one of the formats of the class. Raises :class:`~nextgpt.errors.MediaError`."""
        from nextgpt.media import READERS

        return READERS[cls.modality](source)

    def save(self, path: str | Path) -> Path:
        """Write a file in the format of the suffix; return its path. Raises :class:`~nextgpt.errors.MediaError`."""
        from nextgpt.media import WRITERS

        return WRITERS[self.modality](self, path)


@dataclass(frozen=True, eq=False, init=False)
class Image(_MediaFile):
    """An RGB image, held as :class:`PIL.Image.Image`; uint8 or float arrays (H, W, 3) are converted.

    Read in any format that Pillow supports; written as PNG without a suffix.
    """

    image: PIL.Image.Image
    modality: ClassVar[str] = "image"

    def __init__(self, image: PIL.Image.Image | ArrayLike) -> None:
        if not isinstance(image, PIL.Image.Image):
            image = PIL.Image.fromarray(_pixels(image, "An image", dimensions=3))
        if 0 in image.size:
            raise media_error("An image", f"has the size {image.size}", "at least one pixel", "Check where it is made.")
        if image.mode != "RGB":
            from nextgpt.media import to_rgb

            image = to_rgb(image)
        object.__setattr__(self, "image", image)

    @cached_property
    def digest(self) -> bytes:
        """16 bytes that identify the content, for caches."""
        return blake2b(self.image.tobytes() + repr(self.image.size).encode(), digest_size=16).digest()


@dataclass(frozen=True, eq=False, init=False)
class Audio(_MediaFile):
    """Audio samples: float32 (channels, samples) in [-1, 1] at ``sample_rate_hz``.

    Read in any format that soundfile or FFmpeg supports; written as WAV without a suffix.
    """

    samples: np.ndarray
    sample_rate_hz: int
    modality: ClassVar[str] = "audio"

    def __init__(self, samples: ArrayLike, sample_rate_hz: SupportsFloat) -> None:
        rate = _positive(sample_rate_hz, "Audio", "sample_rate_hz")
        if rate != int(rate):
            raise media_error("Audio", f"has a sample rate of {rate} Hz", "a whole number", "Round it.")
        object.__setattr__(self, "sample_rate_hz", int(rate))
        object.__setattr__(self, "samples", _audio_samples(_array(samples, "Audio")))

    @property
    def duration_s(self) -> float:
        """Length in seconds."""
        return self.samples.shape[-1] / self.sample_rate_hz

    @cached_property
    def digest(self) -> bytes:
        """16 bytes that identify the content, for caches."""
        return _digest(self.samples, "audio", self.sample_rate_hz)


@dataclass(frozen=True, eq=False, init=False)
class Video(_MediaFile):
    """Frames: uint8 (F, H, W, 3) at ``fps`` frames per second, with optional audio; float frames are converted.

    Read in any container that FFmpeg supports; written as MP4 without a suffix.
    """

    frames: np.ndarray
    fps: float
    audio: Audio | None = None
    modality: ClassVar[str] = "video"

    def __init__(self, frames: ArrayLike, fps: SupportsFloat, audio: Audio | None = None) -> None:
        if audio is not None and not isinstance(audio, Audio):
            problem = f"has audio of the type {type(audio).__name__}"
            advice = "Wrap it in Audio(samples, sample_rate_hz)."
            raise media_error("A video", problem, "Audio or None", advice)
        object.__setattr__(self, "frames", _pixels(frames, "A video", dimensions=4))
        object.__setattr__(self, "fps", _positive(fps, "A video", "fps"))
        object.__setattr__(self, "audio", audio)

    @property
    def duration_s(self) -> float:
        """Length in seconds."""
        return len(self.frames) / self.fps

    @cached_property
    def digest(self) -> bytes:
        """16 bytes that identify the content, for caches."""
        sound = self.audio.digest if self.audio is not None else b""
        return _digest(self.frames, "video", self.fps, sound)


@dataclass(frozen=True, eq=False, init=False)
class Depth(_MediaFile):
    """A depth map: float32 distances (H, W) in metres, 0 where unknown. Input only.

    Read from 16-bit PNG or TIFF in millimetres, or NPY in metres; written as NPY.
    """

    metres: np.ndarray
    modality: ClassVar[str] = "depth"

    def __init__(self, metres: ArrayLike) -> None:
        metres = _array(metres, "A depth map")
        if metres.dtype.kind != "f":
            raise media_error(
                "A depth map", f"has the dtype {metres.dtype}", "floats in metres", "Divide millimetres by 1000."
            )
        _check_map(metres, "A depth map")
        if metres.size and metres.min() < 0:
            raise media_error(
                "A depth map", f"has a distance of {metres.min():g} m", "0 (unknown) or more", "Correct it."
            )
        object.__setattr__(self, "metres", metres.astype(np.float32, copy=False))

    @cached_property
    def digest(self) -> bytes:
        """16 bytes that identify the content, for caches."""
        return _digest(self.metres, "depth")


@dataclass(frozen=True, eq=False, init=False)
class Thermal(_MediaFile):
    """A thermal image: float32 (H, W), 0 is cold and 1 is warm; uint8 is scaled from 0..255. Input only.

    Read from 8- or 16-bit PNG or TIFF, or NPY; written as NPY.
    """

    values: np.ndarray
    modality: ClassVar[str] = "thermal"

    def __init__(self, values: ArrayLike) -> None:
        values = _array(values, "A thermal image")
        if values.dtype == np.uint8:
            values = values / np.float32(255)
        if values.dtype.kind != "f":
            raise media_error(
                "A thermal image", f"has the dtype {values.dtype}", "floats in [0, 1], or uint8", "Scale it."
            )
        _check_map(values, "A thermal image")
        if values.size and not 0 <= values.min() <= values.max() <= 1:
            raise media_error(
                "A thermal image",
                f"has values from {values.min():g} to {values.max():g}",
                "0 (cold) to 1 (warm)",
                "Subtract the minimum and divide by the range.",
            )
        object.__setattr__(self, "values", values.astype(np.float32, copy=False))

    @cached_property
    def digest(self) -> bytes:
        """16 bytes that identify the content, for caches."""
        return _digest(self.values, "thermal")


@dataclass(frozen=True, eq=False, init=False)
class Imu(_MediaFile):
    """Inertial measurements: float32 (6, samples), acceleration then rotation of three axes. Input only.

    Read from and written as a CSV that states its sample rate.
    """

    samples: np.ndarray
    sample_rate_hz: float
    modality: ClassVar[str] = "imu"

    def __init__(self, samples: ArrayLike, sample_rate_hz: SupportsFloat) -> None:
        samples = _array(samples, "IMU data")
        if samples.ndim == 2 and samples.shape[1] == IMU_AXES != samples.shape[0]:
            samples = samples.T
        if samples.ndim != 2 or len(samples) != IMU_AXES or not samples.size or samples.dtype.kind not in "fiu":
            raise media_error(
                "IMU data",
                f"has the shape {samples.shape} and dtype {samples.dtype}",
                f"numbers of the shape ({IMU_AXES}, samples), at least one sample",
                "Order the axes as ax, ay, az, gx, gy, gz.",
            )
        _check_finite(samples, "IMU data")
        object.__setattr__(self, "sample_rate_hz", _positive(sample_rate_hz, "IMU data", "sample_rate_hz"))
        object.__setattr__(self, "samples", samples.astype(np.float32, copy=False))

    @cached_property
    def digest(self) -> bytes:
        """16 bytes that identify the content, for caches."""
        return _digest(self.samples, "imu", self.sample_rate_hz)


Medium = Image | Audio | Video | Depth | Thermal | Imu


def _array(values: Any, name: str) -> np.ndarray:
    """Convert tensors and nested sequences to a NumPy array."""
    if callable(getattr(values, "detach", None)):  # a torch tensor; torch itself need not be imported
        values = values.detach().cpu()
        values = (values.float() if values.is_floating_point() else values).numpy()
    try:
        array = np.asarray(values)
    except ValueError:  # rows of unequal lengths
        array = np.asarray(None)
    if array.dtype.kind not in "fiub":
        raise media_error(
            name, f"was given as {type(values).__name__}", "an array of numbers", "Read files with open()."
        )
    return array


def _pixels(values: Any, name: str, *, dimensions: int) -> np.ndarray:
    """Convert to uint8 (..., H, W, 3); floats must lie in [0, 1]; channels may precede the rows."""
    pixels = _array(values, name)
    if pixels.ndim == dimensions and pixels.shape[-1] != 3 == pixels.shape[-3]:
        pixels = np.moveaxis(pixels, -3, -1)
    if pixels.ndim != dimensions or pixels.shape[-1] != 3 or 0 in pixels.shape:
        expected = f"({'frames, ' if dimensions == 4 else ''}height, width, 3), none of them 0"
        raise media_error(name, f"has the shape {pixels.shape}", expected, "Convert it to RGB.")
    if pixels.dtype == np.uint8:
        return pixels
    low, high = (float(pixels.min()), float(pixels.max())) if pixels.size else (0.0, 0.0)
    limit = 1 if pixels.dtype.kind == "f" else 255
    if not 0 <= low <= high <= limit or pixels.dtype.kind == "b":  # also false if anything is NaN
        raise media_error(
            name,
            f"has {pixels.dtype} values from {low:g} to {high:g}",
            "integers from 0 to 255, or floats from 0 to 1",
            "Scale it.",
        )
    return (pixels * 255).round().astype(np.uint8) if limit == 1 else pixels.astype(np.uint8)


def _audio_samples(samples: np.ndarray) -> np.ndarray:
    """Convert to float32 (channels, samples)."""
    if samples.dtype.name in _INTEGER_AUDIO:
        offset, scale = _INTEGER_AUDIO[samples.dtype.name]
        samples = ((samples.astype(np.float64) - offset) / scale).astype(np.float32)
    if samples.dtype.kind != "f":
        expected = f"floats in [-1, 1], or {', '.join(_INTEGER_AUDIO)}"
        raise media_error("Audio", f"has the dtype {samples.dtype}", expected, "Convert it to float32.")
    if samples.ndim == 1:
        samples = samples[None]
    if samples.ndim == 2 and samples.shape[1] <= MAX_CHANNELS < samples.shape[0]:
        samples = samples.T
    if samples.ndim != 2 or not 1 <= len(samples) <= MAX_CHANNELS:
        expected = f"(channels, samples) with 1 to {MAX_CHANNELS} channels"
        raise media_error("Audio", f"has the shape {samples.shape}", expected, "Transpose or cut it.")
    _check_finite(samples, "Audio")
    if samples.size and (peak := float(np.abs(samples).max())) > MAX_PEAK:
        raise media_error("Audio", f"has a peak of {peak:g}", "samples in [-1, 1]", "Divide by full scale.")
    return samples.astype(np.float32, copy=False)


def _check_map(values: np.ndarray, name: str) -> None:
    if values.ndim != 2 or 0 in values.shape:
        raise media_error(name, f"has the shape {values.shape}", "(height, width)", "Remove other axes.")
    _check_finite(values, name)


def _check_finite(values: np.ndarray, name: str) -> None:
    if not np.isfinite(values).all():
        raise media_error(name, "holds NaN or infinite values", "finite numbers", "Replace them.")


def _positive(value: Any, name: str, field: str) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = math.nan
    if isinstance(value, bool) or not 0 < number < math.inf:
        raise media_error(name, f"has {field}={value!r}", "a number above 0", "State the real rate.")
    return number


def _digest(array: np.ndarray, *facts: object) -> bytes:
    content = blake2b(np.ascontiguousarray(array).data.cast("B") if array.size else b"", digest_size=16)
    content.update(repr((*facts, array.shape)).encode())
    return content.digest()
