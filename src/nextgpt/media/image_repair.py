"""Repair of truncated or damaged images, so that the intact part can be decoded, as browsers do."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np

_END_OF_JPEG = b"\xff\xd9"
_SIGNATURE_BYTES = 8
_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
"""Channels of a PNG by its color type (PNG specification, table 11.1)."""
_ADAM7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
"""First column, first row and distances of the pixels of each pass of an interlaced PNG (section 8.2)."""
_MAX_FILTER = 4
_BLOCK_BYTES = 64


def repair_jpeg(content: bytes, max_pixels: int) -> tuple[bytes, str]:
    """Add the end marker to a truncated JPEG; libjpeg fills the rest with grey. Return it and the loss in words."""
    return content + _END_OF_JPEG, "its data end early, the rest of the image is grey"


def repair_png(content: bytes, max_pixels: int) -> tuple[bytes, str]:
    """Replace what cannot be decompressed by zeros: black, or transparent; return it and the loss in words.

    Raises:
        ValueError: Not one row can be decompressed, the header is damaged, or there are more than ``max_pixels``.
    """
    chunks = list(png_chunks(content))
    width, height, depth, color, _, _, interlace = struct.unpack(">IIBBBBB", dict(chunks)[b"IHDR"][8:21])
    if not 0 < width * height <= max_pixels:
        raise ValueError("the size is impossible")
    pixel_bits = depth * _CHANNELS.get(color, 4)
    passes = [(1 + (columns * pixel_bits + 7) // 8, rows) for columns, rows in _passes(width, height, interlace)]
    size = sum(row_bytes * rows for row_bytes, rows in passes)
    data = b"".join(_body(chunk) for name, chunk in chunks if name == b"IDAT")
    pixels = _before_bad_row(_decompress(data, size), passes)
    if len(pixels) < size / height:
        raise ValueError("no row of pixels is whole")
    compressed = zlib.compress(pixels + bytes(size - len(pixels)), 1)
    kept = b"".join(chunk for name, chunk in chunks if name not in (b"IDAT", b"IEND"))
    repaired = content[:_SIGNATURE_BYTES] + kept + _chunk(b"IDAT", compressed) + _chunk(b"IEND", b"")
    is_whole = len(pixels) == size
    return (
        repaired,
        "it is damaged" if is_whole else f"only {100 * len(pixels) // size} % of its pixels could be decoded",
    )


def _passes(width: int, height: int, interlace: int) -> list[tuple[int, int]]:
    """Return columns and rows of each pass."""
    if not interlace:
        return [(width, height)]
    sizes = [(-(-(width - x) // dx), -(-(height - y) // dy)) for x, y, dx, dy in _ADAM7]
    return [(columns, rows) for columns, rows in sizes if columns > 0 and rows > 0]


def _before_bad_row(pixels: bytes, passes: Sequence[tuple[int, int]]) -> bytes:
    """Cut where a row begins with an unknown filter (section 9.2): what damaged data decompress to is no image."""
    start = 0
    for row_bytes, rows in passes:
        end = start + row_bytes * rows
        is_bad = np.frombuffer(pixels[start:end], np.uint8)[::row_bytes] > _MAX_FILTER
        if is_bad.any():
            return pixels[: start + row_bytes * int(is_bad.argmax())]
        start = end
    return pixels


def _decompress(data: bytes, max_bytes: int) -> bytes:
    """Decompress up to the first error, or to ``max_bytes``."""
    decompressor = zlib.decompressobj()
    pixels = bytearray()
    for start in range(0, len(data), _BLOCK_BYTES):
        try:
            pixels += decompressor.decompress(data[start : start + _BLOCK_BYTES], max_bytes)
        except zlib.error:
            break
        if len(pixels) >= max_bytes:
            break
    return bytes(pixels[:max_bytes])


def png_chunks(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield name and bytes of each chunk of a PNG, its length and checksum included; the last may be cut off."""
    position = _SIGNATURE_BYTES
    while position + 8 <= len(content):
        end = position + 12 + int.from_bytes(content[position : position + 4], "big")
        yield content[position + 4 : position + 8], content[position:end]
        position = end


def _body(chunk: bytes) -> bytes:
    return chunk[8 : 8 + int.from_bytes(chunk[:4], "big")]


def _chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


REPAIRS: Mapping[str, Callable[[bytes, int], tuple[bytes, str]]] = {"jpeg": repair_jpeg, "png": repair_png}
"""``(content, max_pixels) -> (repaired content, loss)`` by name of the file type."""
