"""Near duplicates of texts: MinHash finds candidate pairs, and their exact Jaccard similarity decides."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from hashlib import blake2b

import numpy as np

from nextgpt.data.build.checks import ngrams

SHINGLE_WORDS = 3
BANDS, ROWS = 32, 4
"""A pair of similarity ``s`` is compared with probability ``1 - (1 - s^ROWS)^BANDS``: 0.9998 at 0.7, 0.87 at 0.5."""
_PRIME = np.uint64(2**61 - 1)


def find_near_duplicates(texts: Sequence[str], threshold: float) -> Iterator[tuple[int, int, float]]:
    """Yield ``(index, earlier index, similarity)`` of texts that repeat an earlier text.

    A text that is itself a repetition is not compared with later ones.
    """
    shingles = [ngrams(text, SHINGLE_WORDS) for text in texts]
    buckets: dict[tuple[int, bytes], list[int]] = defaultdict(list)
    for index, own in enumerate(shingles):
        if not own:
            continue
        keys = [(band, row.tobytes()) for band, row in enumerate(_signature(own).reshape(BANDS, ROWS))]
        rivals = sorted({rival for key in keys for rival in buckets[key]})
        scores = [(_jaccard(own, shingles[rival]), rival) for rival in rivals]
        best, rival = max(scores, default=(0.0, -1))
        if best > threshold:
            yield index, rival, best
            continue
        for key in keys:
            buckets[key].append(index)


def _signature(shingles: frozenset[tuple[str, ...]]) -> np.ndarray:
    """Return the minimum of each hash function over the shingles, (BANDS * ROWS,)."""
    hashes = np.array(
        [int.from_bytes(blake2b(" ".join(s).encode(), digest_size=4).digest(), "big") for s in sorted(shingles)],
        dtype=np.uint64,
    )
    factors, offsets = _COEFFICIENTS
    return ((hashes[:, None] * factors + offsets) % _PRIME).min(axis=0)


def _jaccard(a: frozenset, b: frozenset) -> float:
    return len(a & b) / len(a | b)


_COEFFICIENTS = np.random.default_rng(1).integers(1, 2**31 - 1, (2, BANDS * ROWS)).astype(np.uint64)
"""Factors below 2^31, so that a product with a 32-bit hash does not overflow."""
