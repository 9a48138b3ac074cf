"""Hostile files: small valid files of every type, changed by a seeded mutation each."""

from __future__ import annotations

import io
import struct
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import PIL.Image

from nextgpt.message import Audio, Depth, Imu, Thermal, Video

Generator = np.random.Generator
EXTREME_INTEGERS = (0, 1, 0x7F, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF)
MAGIC = (
    b"\x89PNG\r\n\x1a\n",
    b"\xff\xd8\xff",
    b"GIF89a",
    b"BM",
    b"II*\0",
    b"RIFF\0\0\0\0WEBP",
    b"RIFF\xff\xff\xff\xffWAVE",
    b"fLaC",
    b"ID3\x04\0\0\x7f\x7f\x7f\x7f",
    b"\xff\xfb",
    b"OggS",
    b"\0\0\0\x18ftypmp42",
    b"\x1aE\xdf\xa3",
    b"\x93NUMPY",
)


@dataclass(frozen=True)
class HostileFile:
    """A file, and how it was made."""

    origin: str
    mutation: str
    content: bytes


@cache
def valid_files() -> Mapping[str, bytes]:
    """Return a small valid file of every type by name."""
    ramp = np.indices((24, 40)).sum(axis=0).astype(np.uint8) * 3
    picture = PIL.Image.fromarray(np.stack([ramp, ramp[::-1], 255 - ramp], axis=-1))
    files = {
        kind.lower(): _pillow(picture, kind) for kind in ("PNG", "JPEG", "GIF", "WEBP", "BMP", "TIFF", "PPM", "AVIF")
    }
    grey = {"tiff int32": np.int32, "tiff float": np.float32, "png 16 bits": np.uint16}
    files |= {
        name: _pillow(PIL.Image.fromarray(ramp.astype(kind)), name[:4].strip().upper()) for name, kind in grey.items()
    }
    frames = [picture, picture.rotate(90), picture.rotate(180)]
    files["gif animation"] = _pillow(picture, "GIF", save_all=True, append_images=frames)
    tone = Audio(0.5 * np.sin(np.arange(8000) / 10).astype(np.float32), 16_000)
    video = Video(np.random.default_rng(0).integers(0, 256, (8, 32, 32, 3), dtype=np.uint8), 8.0, tone)
    with tempfile.TemporaryDirectory() as folder:
        for medium, suffixes in ((tone, ".wav .flac .ogg .mp3"), (video, ".mp4 .webm .mkv .mov")):
            files |= {suffix: medium.save(Path(folder) / f"x{suffix}").read_bytes() for suffix in suffixes.split()}
        sensors = (Depth(np.ones((8, 8))), Thermal(np.zeros((8, 8))), Imu(np.zeros((6, 50)), 100.0))
        files |= {m.modality: m.save(Path(folder) / m.modality).read_bytes() for m in sensors}
    return files


def _pillow(picture: PIL.Image.Image, kind: str, **options: object) -> bytes:
    file = io.BytesIO()
    picture.save(file, kind, **options)
    return file.getvalue()


def hostile_file(seed: int) -> HostileFile:
    """Return the file of a seed; the same one every time."""
    rng = np.random.default_rng([7, seed])
    files = valid_files()
    origin = list(files)[rng.integers(len(files))]
    mutation = list(MUTATIONS)[rng.integers(len(MUTATIONS))]
    return HostileFile(origin, mutation, MUTATIONS[mutation](files[origin], rng))


def _truncate(content: bytes, rng: Generator) -> bytes:
    return content[: rng.integers(len(content))]


def _overwrite(content: bytes, rng: Generator) -> bytes:
    changed = bytearray(content)
    for _ in range(rng.integers(1, 40)):
        changed[rng.integers(len(changed))] = rng.integers(256)
    return bytes(changed)


def _overwrite_range(content: bytes, rng: Generator) -> bytes:
    start, size = rng.integers(len(content)), rng.integers(1, 500)
    return content[:start] + rng.bytes(size) + content[start + size :]


def _extreme_header(content: bytes, rng: Generator) -> bytes:
    """Set an integer in the header: sizes, counts and offsets lie there."""
    start = int(rng.integers(min(len(content), 256)))
    value = EXTREME_INTEGERS[rng.integers(len(EXTREME_INTEGERS))]
    packed = struct.pack("<>"[rng.integers(2)] + "I", value)[: rng.choice([2, 4])]
    return content[:start] + packed + content[start + len(packed) :]


def _delete(content: bytes, rng: Generator) -> bytes:
    start, size = rng.integers(len(content)), rng.integers(1, 200)
    return content[:start] + content[start + size :]


def _repeat(content: bytes, rng: Generator) -> bytes:
    start, size = rng.integers(len(content)), rng.integers(1, 2000)
    return content[:start] + content[start : start + size] * int(rng.integers(2, 20)) + content[start:]


def _join(content: bytes, rng: Generator) -> bytes:
    files = list(valid_files().values())
    other = files[rng.integers(len(files))]
    return content[: rng.integers(len(content) + 1)] + other[rng.integers(len(other)) :]


def _noise_after_magic(content: bytes, rng: Generator) -> bytes:
    return MAGIC[rng.integers(len(MAGIC))] + rng.bytes(int(rng.integers(4000)))


def _odd_shape(content: bytes, rng: Generator) -> bytes:
    """Return an image of extreme proportions or size, which compresses to little."""
    width, height = (int(10 ** rng.uniform(0, 5.3)) for _ in range(2))
    if width * height > 4_000_000:
        width = max(1, 4_000_000 // height)
    picture = PIL.Image.new("L", (width, height), int(rng.integers(256)))
    kinds = ("PNG", "TIFF", "GIF") if max(picture.size) < 2**16 else ("PNG", "TIFF")
    return _pillow(picture, kinds[rng.integers(len(kinds))])


def _long_audio(content: bytes, rng: Generator) -> bytes:
    """Return a WAV of many channels, rates and lengths, whose header may promise more than there is."""
    channels, rate = int(rng.integers(1, 40)), int(10 ** rng.uniform(0, 6))
    data = bytes(2 * channels * int(rng.integers(2000)))
    promised = int(10 ** rng.uniform(0, 9.5)) if rng.integers(2) else len(data)
    header = struct.pack(
        "<4sI4s4sIHHIIHH",
        b"RIFF",
        promised + 36,
        b"WAVE",
        b"fmt ",
        16,
        1,
        channels,
        rate,
        (rate * channels * 2) % 2**32,
        channels * 2 % 2**16,
        16,
    )
    return header + struct.pack("<4sI", b"data", promised) + data


MUTATIONS: dict[str, Callable[[bytes, Generator], bytes]] = {
    "none": lambda content, rng: content,
    "truncate": _truncate,
    "overwrite": _overwrite,
    "overwrite range": _overwrite_range,
    "extreme header": _extreme_header,
    "delete": _delete,
    "repeat": _repeat,
    "join": _join,
    "noise after magic": _noise_after_magic,
    "odd shape": _odd_shape,
    "long audio": _long_audio,
}
