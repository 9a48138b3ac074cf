"""Pages of Ogg files (RFC 3533): links of chained files, and what is damaged or missing."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

_HEADER_BYTES = 27
_CRC = slice(22, 26)
_IS_FIRST, _IS_LAST = 2, 4
"""Flags in the header of a page: it begins or ends a logical stream."""
_REVERSED_BITS = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


@dataclass(frozen=True)
class Page:
    """A page of an Ogg file."""

    start: int
    """Offset in the file."""
    flags: int
    is_intact: bool
    """True if its checksum is right."""


def read_pages(content: bytes) -> Iterator[Page]:
    """Find the pages of an Ogg file; bytes between pages are skipped, a page that is cut off is not intact."""
    position = 0
    while (position := content.find(b"OggS", position)) >= 0 and position + _HEADER_BYTES <= len(content):
        body = position + _HEADER_BYTES + content[position + 26]
        end = body + sum(content[position + _HEADER_BYTES : body])
        page = content[position:end]
        is_intact = end <= len(content) and _crc(page) == int.from_bytes(page[_CRC], "little")
        yield Page(position, content[position + 5], is_intact)
        # The length of a damaged page may be wrong.
        position = end if is_intact else position + 4


def _crc(page: bytes) -> int:
    """Return the checksum of a page, in which the checksum itself counts as 0.

    Ogg's CRC has the polynomial of zlib's, the bits in the opposite order, and starts at 0.
    """
    zeroed = page[: _CRC.start] + bytes(4) + page[_CRC.stop :]
    crc = zlib.crc32(zeroed.translate(_REVERSED_BITS), 0xFFFFFFFF) ^ 0xFFFFFFFF
    return int(f"{crc:032b}"[::-1], 2)


def link_starts(pages: Sequence[Page]) -> list[int]:
    """Return the offsets of the first pages of a file's links (section 6)."""
    return [
        page.start
        for index, page in enumerate(pages)
        if page.flags & _IS_FIRST and not (index and pages[index - 1].flags & _IS_FIRST)
    ]


def ogg_damage(pages: Sequence[Page]) -> str:
    """Describe in words what is damaged or missing; empty if nothing is."""
    num_damaged = sum(not page.is_intact for page in pages)
    damage = [f"{num_damaged} damaged pages were skipped"] if num_damaged else []
    if pages and not any(page.flags & _IS_LAST for page in pages[-1:]):
        damage.append("it ends before its last page")
    return "; ".join(damage)
