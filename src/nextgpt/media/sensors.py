"""Read and write sensor data: depth maps, thermal images, inertial measurements.

=======  ==============================  ====================================================
depth    16-bit PNG or TIFF              millimetres, as Kinect and RealSense write them; 0 is unknown
depth    NPY (height, width)             metres; integers are millimetres
thermal  8-bit PNG or TIFF               0 to 255 become 0 to 1
thermal  16-bit PNG or TIFF, NPY         the coldest becomes 0, the warmest 1
IMU      CSV, or NPY (6, samples)        three axes of acceleration, then three of rotation
=======  ==============================  ====================================================

The sample rate of a CSV is read from its first line, ``# sample_rate_hz: 200``, or from a column ``time_s``; for an NPY
it must be passed.
"""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import PIL.Image

from nextgpt.errors import MediaError
from nextgpt.media.limits import MediaLimits, media_error
from nextgpt.media.open_media import read_bytes
from nextgpt.media.save_media import with_default_suffix, wrap_write_errors
from nextgpt.media.types import Depth, Imu, MediaSource, Thermal
from nextgpt.text_files import encoding_of

MILLIMETRES_A_METRE = 1000.0
AXES = ("ax", "ay", "az", "gx", "gy", "gz")
"""Columns of a CSV without a header: acceleration, then rotation."""
TIME_COLUMN = "time_s"
RATE_KEY = "sample_rate_hz"
MAX_SAMPLES = 1_000_000
"""Maximum IMU samples: more than an hour at 200 Hz."""
_GREY = {"L": 8, "I;16": 16, "I;16B": 16, "I;16L": 16, "I": 16}
"""Bits per pixel of Pillow's modes with one channel."""


def read_depth(source: MediaSource, *, limits: MediaLimits | None = None) -> Depth:
    """Read a depth map in metres. Raises :class:`MediaError` for other formats, sizes and impossible distances."""
    limits = limits or MediaLimits.default()
    values, bits, name = _read_map(source, limits, "a depth map (16-bit PNG or TIFF in millimetres, or NPY in metres)")
    if bits == 8:
        raise media_error(
            name, "has 8 bits a pixel", "16-bit PNG or TIFF in millimetres, or NPY in metres",
            "Export the depth itself, not an image of it."
        )  # fmt: skip
    metres = values if values.dtype.kind == "f" else values / MILLIMETRES_A_METRE
    if metres.min() < 0:
        raise media_error(name, f"has a distance of {metres.min():g} m", "0 (unknown) or more", "Correct the file.")
    return Depth(metres.astype(np.float32))


def read_thermal(source: MediaSource, *, limits: MediaLimits | None = None) -> Thermal:
    """Read a thermal image as 0 (cold) to 1 (warm). Raises :class:`MediaError` for other formats and sizes."""
    limits = limits or MediaLimits.default()
    values, bits, _ = _read_map(source, limits, "a thermal image (8- or 16-bit grey PNG or TIFF, or NPY)")
    if bits == 8:
        return Thermal((values / 255).astype(np.float32))
    low, high = float(values.min()), float(values.max())
    if values.dtype.kind == "f" and low >= 0 and high <= 1:
        return Thermal(values.astype(np.float32))
    return Thermal(((values - low) / max(high - low, 1e-12)).astype(np.float32))


def read_imu(source: MediaSource, *, sample_rate_hz: float | None = None, limits: MediaLimits | None = None) -> Imu:
    """Read inertial measurements.

    Raises:
        MediaError: The file is no CSV or NPY of six axes, holds no numbers, or has no sample rate.
    """
    limits = limits or MediaLimits.default()
    content, name = read_bytes(source, limits)
    if content.startswith(b"\x93NUMPY"):
        samples, rate = _load_npy(content, name), None
    else:
        samples, rate = _parse_csv(content, name)
    if samples.ndim != 2 or samples.shape[0] != len(AXES):
        raise media_error(
            name, f"has the shape {samples.shape}", f"({len(AXES)}, samples): {', '.join(AXES)}", "Turn or cut it."
        )
    if not 0 < samples.shape[1] <= MAX_SAMPLES:
        raise media_error(name, f"has {samples.shape[1]} samples", f"1 to {MAX_SAMPLES:,}", "Cut it.")
    _check_finite(samples, name)
    rate = sample_rate_hz or rate
    if rate is None or not 0 < rate < 1e6:
        raise media_error(
            name, f"has the sample rate {rate}", "one above 0 Hz",
            f"Write '# {RATE_KEY}: 200' in the first line of a CSV or a column {TIME_COLUMN}, or pass sample_rate_hz."
        )  # fmt: skip
    return Imu(samples.astype(np.float32), float(rate))


def write_array(values: np.ndarray, path: str | Path) -> Path:
    """Write a depth map or thermal image as NPY; return the path. Raises :class:`MediaError`."""
    path = with_default_suffix(path, {".npy": "NPY"}, default=".npy")
    with wrap_write_errors(path):
        np.save(path, values)
    return path


def write_imu(imu: Imu, path: str | Path) -> Path:
    """Write measurements as CSV with their rate; return the path. Raises :class:`MediaError`."""
    path = with_default_suffix(path, {".csv": "CSV"}, default=".csv")
    rows = "".join(",".join(f"{value:.9g}" for value in row) + "\n" for row in imu.samples.T)
    with wrap_write_errors(path):
        path.write_text(f"# {RATE_KEY}: {imu.sample_rate_hz:.17g}\n{','.join(AXES)}\n{rows}", encoding="utf-8")
    return path


def _read_map(source: MediaSource, limits: MediaLimits, expected: str) -> tuple[np.ndarray, int | None, str]:
    """Read one channel; return it, its bits (``None`` for an array), and the source's name."""
    content, name = read_bytes(source, limits)
    bits: int | None = None
    if content.startswith(b"\x93NUMPY"):
        values = _load_npy(content, name)
    else:
        values, bits = _load_grey(content, name, limits, expected)
    if values.ndim != 2 or 0 in values.shape or values.size > limits.pixels:
        raise media_error(
            name, f"has the shape {values.shape}", f"(height, width), at most {limits.pixels:,}", "Cut it."
        )
    _check_finite(values, name)
    return values, bits, name


def _load_grey(content: bytes, name: str, limits: MediaLimits, expected: str) -> tuple[np.ndarray, int]:
    try:
        with PIL.Image.open(io.BytesIO(content), formats=("PNG", "TIFF")) as picture:
            if picture.width * picture.height > limits.pixels:
                raise media_error(name, f"has {picture.width} x {picture.height} pixels", expected, "Scale it down.")
            if picture.mode not in _GREY:
                raise media_error(
                    name, f"is an image of the mode {picture.mode}", expected, "Send colours as an image."
                )
            return np.asarray(picture).astype(np.int32), _GREY[picture.mode]
    except MediaError:
        raise
    except Exception as error:  # what Pillow raises on damaged files has no common base
        raise media_error(name, f"cannot be read ({error})", expected, "Check or convert the file.") from error


def _load_npy(content: bytes, name: str) -> np.ndarray:
    try:
        values = np.load(io.BytesIO(content), allow_pickle=False)
    except Exception as error:  # numpy raises many kinds on damaged headers
        raise media_error(name, f"is a damaged NPY ({error})", "a whole array of numbers", "Save it anew.") from error
    if values.dtype.kind not in "fiu":
        raise media_error(name, f"holds {values.dtype}", "an array of numbers", "Convert it with astype(float32).")
    return values


def _parse_csv(content: bytes, name: str) -> tuple[np.ndarray, float | None]:
    try:
        lines = [line.strip() for line in content.decode(encoding_of(content)).splitlines() if line.strip()]
        rate = None
        while lines and lines[0].startswith("#"):
            key, _, value = lines.pop(0).lstrip("# ").partition(":")
            rate = float(value) if key.strip() == RATE_KEY else rate
        columns = [word.strip() for word in lines[0].split(",")] if lines else []
        header = lines.pop(0) if columns and not _is_number(columns[0]) else None
        rows = np.array([[float(word) for word in line.split(",")] for line in lines], dtype=np.float64)
    except (UnicodeDecodeError, ValueError) as error:
        raise media_error(
            name, f"is no CSV of numbers ({error})", f"columns {', '.join(AXES)}", "Convert it."
        ) from error
    if header is None or rows.ndim != 2:
        return rows.T, rate
    missing = [axis for axis in AXES if axis not in columns]
    if missing or rows.shape[1] != len(columns):
        raise media_error(name, f"has the columns {', '.join(columns)}", f"{', '.join(AXES)}", "Rename or add columns.")
    if rate is None and TIME_COLUMN in columns and len(rows) > 1:
        elapsed = rows[-1, columns.index(TIME_COLUMN)] - rows[0, columns.index(TIME_COLUMN)]
        rate = (len(rows) - 1) / elapsed if elapsed > 0 else None
    return rows[:, [columns.index(axis) for axis in AXES]].T, rate


def _is_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True


def _check_finite(values: np.ndarray, name: str) -> None:
    if not np.isfinite(values).all():
        raise media_error(name, "holds NaN or infinite values", "numbers", "Write 0 where unknown.")
