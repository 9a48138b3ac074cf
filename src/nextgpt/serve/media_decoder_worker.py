"""Worker process that decodes media for the server with minimal rights and limited memory.

It reads frames from standard input and writes frames to standard output. Nothing is pickled: even if a hostile file
takes over this process, the server reads numbers and raw bytes only.

::

    4 bytes length, JSON {"modality": "image" or null, "limits": {...}, "size": n}, n bytes of a file
    4 bytes length, JSON {"modality": "image", "shape": [64, 64, 3], ...} or {"refused": "..."}, then the arrays
"""

from __future__ import annotations

import json
import math
import resource
import struct
import sys
from typing import Any, BinaryIO

import numpy as np

from nextgpt.errors import MediaError
from nextgpt.media.limits import MediaLimits
from nextgpt.media.read_any import READERS, read_any
from nextgpt.message import Audio, Image, Medium, Video

_BLOCK_BYTES = 2**20
Buffer = bytes | memoryview


def read_frame(stream: BinaryIO) -> dict[str, Any] | None:
    """Read the next header; return ``None`` at the end of the stream."""
    head = stream.read(4)
    if len(head) < 4:
        return None
    return json.loads(stream.read(struct.unpack("<I", head)[0]))


def write_frame(stream: BinaryIO, header: dict[str, Any], *contents: Buffer) -> None:
    """Write a header and its contents."""
    encoded = json.dumps(header).encode()
    stream.write(struct.pack("<I", len(encoded)) + encoded)
    for content in contents:
        stream.write(content)
    stream.flush()


def serialize(medium: Medium) -> tuple[dict[str, Any], list[Buffer]]:
    """Convert a medium to a header and its arrays as raw bytes."""
    if isinstance(medium, Image):
        pixels = np.ascontiguousarray(medium.image)
        return {"shape": pixels.shape}, [pixels.data]
    if isinstance(medium, Audio):
        samples = np.ascontiguousarray(medium.samples)
        return {"shape": samples.shape, "rate": medium.sample_rate_hz}, [samples.data]
    header: dict[str, Any] = {"shape": medium.frames.shape, "fps": medium.fps}
    contents: list[Buffer] = [np.ascontiguousarray(medium.frames).data]
    if medium.audio is not None:
        header["audio"], more = serialize(medium.audio)
        contents += more
    return header, contents


def decoded_bytes(header: dict[str, Any]) -> int:
    """Return the memory of the medium that follows an answer's header; Pillow stores four bytes per RGB pixel."""
    size = _num_bytes(header, header["modality"]) + (_num_bytes(header["audio"], "audio") if "audio" in header else 0)
    return size // 3 * 4 if header["modality"] == "image" else size


def deserialize(header: dict[str, Any], stream: BinaryIO) -> Medium:
    """Convert an answer's header and raw bytes back to a medium. Raises :class:`ValueError` if they do not match."""
    modality = header["modality"]
    array = _read_array(header, modality, stream)
    if modality == "image":
        import PIL.Image

        return Image(PIL.Image.fromarray(array))
    if modality == "audio":
        return Audio(array, int(header["rate"]))
    audio = (
        Audio(_read_array(header["audio"], "audio", stream), int(header["audio"]["rate"]))
        if "audio" in header
        else None
    )
    return Video(array, float(header["fps"]), audio)


def discard(stream: BinaryIO, header: dict[str, Any]) -> None:
    """Skip the raw bytes that follow an answer's header. Raises :class:`ValueError` if there are fewer."""
    remaining = _num_bytes(header, header["modality"])
    remaining += _num_bytes(header["audio"], "audio") if "audio" in header else 0
    while remaining:
        block = stream.read(min(remaining, _BLOCK_BYTES))
        if not block:
            raise ValueError("the worker ended")
        remaining -= len(block)


def _shape(header: dict[str, Any]) -> tuple[int, ...]:
    return tuple(int(size) for size in header["shape"])


def _dtype(modality: str) -> np.dtype[Any]:
    return np.dtype(np.float32 if modality == "audio" else np.uint8)


def _num_bytes(header: dict[str, Any], modality: str) -> int:
    return math.prod(_shape(header)) * _dtype(modality).itemsize


def _read_array(header: dict[str, Any], modality: str, stream: BinaryIO) -> np.ndarray:
    """Read an array into its own memory, without a copy."""
    content = bytearray(_num_bytes(header, modality))
    view, position = memoryview(content), 0
    while position < len(content):
        if not (count := stream.readinto(view[position:])):  # type: ignore[attr-defined]
            raise ValueError("the worker ended")
        position += count
    return np.frombuffer(content, _dtype(modality)).reshape(_shape(header))


def main_loop(requests: BinaryIO, answers: BinaryIO) -> None:
    """Decode one file after another until the end of ``requests``."""
    while (header := read_frame(requests)) is not None:
        content = requests.read(header["size"])
        try:
            read = read_any if header["modality"] is None else READERS[header["modality"]]
            medium = read(content, limits=MediaLimits(**header["limits"]))
            reply, contents = serialize(medium)
            reply |= {"modality": medium.modality, "damage": medium.damage}
        except MediaError as error:
            reply, contents = {"refused": str(error)}, []
        except MemoryError:
            reply, contents = {"refused": "The file needs too much memory. Scale it down."}, []
        write_frame(answers, reply, *contents)


def apply_rlimits(memory_bytes: int) -> None:
    """Limit the address space; allow no written files and no core dumps."""
    resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


if __name__ == "__main__":
    import PIL.Image

    PIL.Image.preinit()
    apply_rlimits(int(sys.argv[1]))
    write_frame(sys.stdout.buffer, {"ready": True})
    main_loop(sys.stdin.buffer, sys.stdout.buffer)
