"""Approximate search with faiss, for indices of more than about 300,000 items: inverted lists of 8-bit vectors.

Optional: ``pip install 'nextgpt[faiss]'``. Without the package, or in a view of an index, search is exact.
"""

from __future__ import annotations

import math
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from nextgpt.errors import ConfigError

LISTS_PER_ROOT = 1.6
"""Inverted lists per square root of the number of vectors."""
TRAINING_VECTORS_PER_LIST = 40
TRAINING_ITERATIONS = 10
LISTS_PER_QUERY = 32
"""Lists that a query reads; more give a higher recall and take longer."""
BLOCK_ROWS = 8192


def build_lists(vectors: Float[np.ndarray, "N D"], path: Path, *, seed: int = 0) -> None:
    """Cluster unit vectors into lists and write them. Raises :class:`ConfigError` if faiss is missing."""
    faiss = _faiss()
    count, width = vectors.shape
    lists = max(1, min(count, round(LISTS_PER_ROOT * math.sqrt(count))))
    index = faiss.index_factory(width, f"IVF{lists},SQ8", faiss.METRIC_INNER_PRODUCT)
    index.cp.niter, index.cp.seed, index.cp.min_points_per_centroid = TRAINING_ITERATIONS, seed + 1, 1
    sample = np.random.default_rng(seed).permutation(count)[: TRAINING_VECTORS_PER_LIST * lists]
    index.train(np.asarray(vectors[np.sort(sample)], np.float32))
    for start in range(0, count, BLOCK_ROWS):
        index.add(np.asarray(vectors[start : start + BLOCK_ROWS], np.float32))
    index.nprobe = LISTS_PER_QUERY
    faiss.write_index(index, str(path))


def open_lists(path: Path) -> Any | None:
    """Open the lists of an index, memory-mapped; ``None`` if there are none, or faiss is missing."""
    if not path.is_file() or not is_available():
        return None
    faiss = _faiss()
    return faiss.read_index(str(path), faiss.IO_FLAG_MMAP)


def search_lists(
    lists: Any, queries: Float[np.ndarray, "B D"], k: int
) -> tuple[Float[np.ndarray, "B k"], Int[np.ndarray, "B k"]]:
    """Return scores and rows per query, best first; missing results have the row -1."""
    scores, rows = lists.search(np.ascontiguousarray(queries, np.float32), k)
    return scores, rows.astype(np.int64)


def is_available() -> bool:
    """Return whether faiss is installed."""
    return find_spec("faiss") is not None


def _faiss() -> Any:
    if not is_available():
        raise ConfigError("Approximate search needs faiss, which is not installed. Run pip install 'nextgpt[faiss]'.")
    import faiss

    return faiss
