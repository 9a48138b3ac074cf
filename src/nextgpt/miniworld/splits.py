"""Which contents are kept for tests: combinations that no training of any part ever sees.

About a tenth of the pairs and triples that define a content is held out: object with tint and background, source with
pitch and pattern, object with motion. Each value alone is seen in training; what is tested is that they combine.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import Literal
from zlib import crc32

from nextgpt.miniworld.scene import Content, Scene, Sound

Split = Literal["train", "test"]
SPLITS: tuple[Split, ...] = ("train", "test")
HELD_OUT_SHARE = 0.1


def is_held_out(content: Content) -> bool:
    """Whether ``content`` shows any combination that is kept for tests."""
    return any(_is_kept_for_tests("/".join(key)) for key in combinations(content))


def combinations(content: Content) -> Iterator[tuple[str, ...]]:
    """The combinations that ``content`` shows, the one that defines it first."""
    if isinstance(content, Scene):
        for placed in content.objects:
            yield "picture", placed.object, placed.tint, content.background
    elif isinstance(content, Sound):
        yield "sound", content.source, content.pitch, content.pattern
    else:
        yield "motion", content.object, content.motion
        yield "picture", content.object, content.tint, content.background
        if content.sound is not None:
            yield from combinations(content.sound)


@lru_cache(maxsize=None)
def _is_kept_for_tests(key: str) -> bool:
    # crc32 is the same on every machine and Python; hash() of a str changes with each process.
    return crc32(f"nextgpt miniworld/{key}".encode()) < HELD_OUT_SHARE * 2**32
