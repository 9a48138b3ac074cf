"""Train/test split: combinations of attributes that no training of any component uses.

About a tenth of the defining combinations is held out: object with tint and background, source with pitch and
pattern, object with motion. Every single value occurs in training; the tests check that values combine.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from hashlib import blake2b
from typing import Literal

from nextgpt.miniworld.specs import MediaSpec, SceneSpec, SoundSpec

Split = Literal["train", "test"]
HELD_OUT_SHARE = 0.1


def is_held_out(spec: MediaSpec) -> bool:
    """Return True if ``spec`` contains a combination of the test split."""
    return any(_is_test_key("/".join(key)) for key in split_keys(spec))


def split_keys(spec: MediaSpec) -> Iterator[tuple[str, ...]]:
    """Yield the combinations in ``spec``, its defining one first."""
    if isinstance(spec, SceneSpec):
        for obj in spec.objects:
            yield "picture", obj.object, obj.tint, spec.background
    elif isinstance(spec, SoundSpec):
        yield "sound", spec.source, spec.pitch, spec.pattern
    else:
        yield "motion", spec.object, spec.motion
        yield "picture", spec.object, spec.tint, spec.background
        if spec.sound is not None:
            yield from split_keys(spec.sound)


@cache
def _is_test_key(key: str) -> bool:
    # hash() of a str changes with each process; this is the same on every machine.
    digest = blake2b(key.encode(), digest_size=4, person=b"miniworld").digest()
    return int.from_bytes(digest, "big") < HELD_OUT_SHARE * 2**32
