"""Exact nearest neighbours among unit vectors, in blocks, so that a memory-mapped file needs little memory."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float, Int

BLOCK_ROWS = 8192
"""Vectors that are converted to float32 and compared at a time."""


def search(
    vectors: Float[np.ndarray, "N D"],
    queries: Float[np.ndarray, "B D"],
    k: int,
    *,
    excluded: Bool[np.ndarray, " N"] | None = None,
) -> tuple[Float[np.ndarray, "B k"], Int[np.ndarray, "B k"]]:
    """Return the ``k`` largest inner products per query with their rows, best first.

    Missing results, if fewer than ``k`` vectors are allowed, have the row -1 and the score -inf.
    """
    scores = np.full((len(queries), k), -np.inf, np.float32)
    rows = np.full((len(queries), k), -1, np.int64)
    queries = np.ascontiguousarray(queries, np.float32)
    for start in range(0, len(vectors), BLOCK_ROWS):
        block = np.asarray(vectors[start : start + BLOCK_ROWS], np.float32)
        products = queries @ block.T  # (B, rows of the block)
        if excluded is not None:
            products[:, excluded[start : start + len(block)]] = -np.inf
        best = _top(products, k)
        scores, rows = _merge(scores, rows, np.take_along_axis(products, best, axis=1), best + start)
    rows[np.isneginf(scores)] = -1
    return scores, rows


def _top(products: Float[np.ndarray, "B N"], k: int) -> Int[np.ndarray, "B k"]:
    """Return the columns of the ``k`` largest values per row, in any order."""
    if products.shape[1] <= k:
        return np.broadcast_to(np.arange(products.shape[1]), products.shape)
    return np.argpartition(products, -k, axis=1)[:, -k:]


def _merge(
    scores: Float[np.ndarray, "B k"],
    rows: Int[np.ndarray, "B k"],
    new_scores: Float[np.ndarray, "B n"],
    new_rows: Int[np.ndarray, "B n"],
) -> tuple[Float[np.ndarray, "B k"], Int[np.ndarray, "B k"]]:
    """Return the ``k`` best of both, best first; of equal scores the lower row comes first."""
    all_scores, all_rows = np.concatenate([scores, new_scores], axis=1), np.concatenate([rows, new_rows], axis=1)
    order = np.lexsort((all_rows, -all_scores), axis=1)[:, : scores.shape[1]]
    return np.take_along_axis(all_scores, order, axis=1), np.take_along_axis(all_rows, order, axis=1)
