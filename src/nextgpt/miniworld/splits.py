"""Which contents are kept for tests: combinations that no training of any part ever sees.

About a tenth of the pairs and triples that define a content is held out: object with tint and background, source with
pitch and pattern, object with motion. Each value alone is seen in training; what is tested is that they combine.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from hashlib import blake2b
from typing import Literal

from nextgpt.miniworld.specs import MediaSpec, SceneSpec, SoundSpec

Split = Literal["train", "test"]
SPLITS: tuple[Split, ...] = ("train", "test")
HELD_OUT_SHARE = 0.1


def is_held_out(content: MediaSpec) -> bool:
    """Whether ``content`` shows any combination that is kept for tests."""
    return any(_is_test_key("/".join(key)) for key in split_keys(content))


def split_keys(content: MediaSpec) -> Iterator[tuple[str, ...]]:
    """The combinations that ``content`` shows, the one that defines it first."""
    if isinstance(content, SceneSpec):
        for placed in content.objects:
            yield "picture", placed.object, placed.tint, content.background
    elif isinstance(content, SoundSpec):
        yield "sound", content.source, content.pitch, content.pattern
    else:
        yield "motion", content.object, content.motion
        yield "picture", content.object, content.tint, content.background
        if content.sound is not None:
            yield from split_keys(content.sound)


@cache
def _is_test_key(key: str) -> bool:
    # hash() of a str changes with each process; this is the same on every machine.
    digest = blake2b(key.encode(), digest_size=4, person=b"miniworld").digest()
    return int.from_bytes(digest, "big") < HELD_OUT_SHARE * 2**32
