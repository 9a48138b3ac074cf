"""Intervals and tests that every metric family uses. Pure NumPy; knows no model and no media.

Resampling is seeded, so the same values give the same interval.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np

from nextgpt.evaluate.metrics.result import EMPTY, MetricResult
from nextgpt.evaluate.score import wilson_interval

RESAMPLES = 2000
CHUNK = 1 << 22
"""Indices drawn at a time, to bound the memory of large resamplings."""
LEVEL = 0.95
Values = np.ndarray | Sequence[float] | Sequence[int]
"""Numbers, one per item."""


@dataclass(frozen=True)
class PairedTest:
    """Comparison of two systems on the same items."""

    difference: float
    """Mean of first minus second."""
    low: float
    """Lower end of the 95 % interval of the difference."""
    high: float
    """Upper end of the 95 % interval of the difference."""
    p_value: float
    """Two-sided; probability of such a difference if the systems were interchangeable."""
    n: int
    """Items, or clusters of items."""


def share_result(name: str, outcomes: Sequence[bool], parameters: Mapping[str, Any] = EMPTY) -> MetricResult:
    """Return the share of true outcomes with its Wilson interval."""
    low, high = wilson_interval(sum(outcomes), len(outcomes))
    value = sum(outcomes) / len(outcomes) if outcomes else float("nan")
    return MetricResult(name, value, low, high, len(outcomes), {}, parameters, tuple(map(float, outcomes)))


def mean_result(
    name: str, values: Values, *, clusters: Sequence[Any] | None = None, parameters: Mapping[str, Any] = EMPTY
) -> MetricResult:
    """Return the mean with its BCa interval; ``clusters`` names the item of each value if items have several."""
    array = np.asarray(values, dtype=np.float64)
    if not array.size:
        return MetricResult(name, float("nan"), None, None, 0, {}, parameters, ())
    low, high = bca_interval(array, clusters=clusters)
    return MetricResult(name, float(array.mean()), low, high, array.size, {}, parameters, tuple(array.tolist()))


def bca_interval(
    values: Values, *, clusters: Sequence[Any] | None = None, resamples: int = RESAMPLES, seed: int = 0
) -> tuple[float | None, float | None]:
    """Return the BCa bootstrap interval of the mean (Efron 1987); ``(None, None)`` below two clusters.

    Whole clusters are resampled, so several values of one item do not count as independent.
    """
    sums, counts = _cluster_sums(values, clusters)
    n = len(sums)
    if n < 2:
        return None, None
    mean = sums.sum() / counts.sum()
    means = np.concatenate([sums[i].sum(1) / counts[i].sum(1) for i in resampled_indices(n, resamples, seed)])
    if np.ptp(means) == 0:
        return float(mean), float(mean)
    jackknife = (sums.sum() - sums) / (counts.sum() - counts)
    deviations = jackknife.mean() - jackknife
    acceleration = (deviations**3).sum() / (6 * (deviations**2).sum() ** 1.5) if deviations.any() else 0.0
    normal = NormalDist()
    below = (np.sum(means < mean) + np.sum(means <= mean)) / (2 * resamples)
    bias = normal.inv_cdf(min(max(below, 1 / resamples), 1 - 1 / resamples))
    tails = [bias + normal.inv_cdf((1 - LEVEL) / 2), bias - normal.inv_cdf((1 - LEVEL) / 2)]
    levels = [normal.cdf(bias + tail / (1 - acceleration * tail)) for tail in tails]
    low, high = np.quantile(means, levels)
    return float(low), float(high)


def bootstrap_interval(
    n: int, statistic: Callable[[np.ndarray], float], *, resamples: int = 200, seed: int = 0
) -> tuple[float | None, float | None]:
    """Return the percentile interval of a statistic that is recomputed for each resample of ``n`` items.

    ``statistic`` takes the indices (n,) of a resample. For corpus metrics such as BLEU or CIDEr, whose value is not
    a mean of independent values.
    """
    if n < 2:
        return None, None
    values = [statistic(row) for chunk in resampled_indices(n, resamples, seed) for row in chunk]
    low, high = np.quantile(values, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)


def paired_permutation_test(
    first: Values, second: Values, *, clusters: Sequence[Any] | None = None, resamples: int = 9999, seed: int = 0
) -> PairedTest:
    """Compare two systems on the same items by swapping their values at random, per cluster.

    Raises:
        ValueError: The systems have different numbers of values.
    """
    if len(first) != len(second):
        raise ValueError(f"paired test: got {len(first)} and {len(second)} values; expected one per item for both.")
    differences = np.asarray(first, np.float64) - np.asarray(second, np.float64)
    if not differences.size:
        return PairedTest(float("nan"), float("nan"), float("nan"), 1.0, 0)
    sums, _ = _cluster_sums(differences, clusters)
    generator = np.random.default_rng(seed)
    observed, extreme = abs(sums.sum()), 0
    tolerance = 1e-9 * np.abs(sums).sum()
    for rows in _chunks(resamples, len(sums)):
        signs = generator.choice((-1.0, 1.0), size=(rows, len(sums)))
        extreme += int(np.sum(np.abs(signs @ sums) >= observed - tolerance))
    low, high = bca_interval(differences, clusters=clusters)
    mean = float(differences.mean())
    low, high = (mean, mean) if low is None or high is None else (low, high)
    return PairedTest(mean, low, high, (extreme + 1) / (resamples + 1), len(sums))


def _cluster_sums(values: Values, clusters: Sequence[Any] | None) -> tuple[np.ndarray, np.ndarray]:
    """Return the sum of the values and their number, per cluster."""
    array = np.asarray(values, dtype=np.float64)
    if clusters is None:
        return array, np.ones(len(array))
    index: dict[Any, int] = {}
    rows = [index.setdefault(cluster, len(index)) for cluster in clusters]
    return np.bincount(rows, weights=array), np.bincount(rows).astype(np.float64)


def resampled_indices(n: int, resamples: int, seed: int) -> Iterator[np.ndarray]:
    """Yield indices (rows, n) drawn with replacement, ``resamples`` rows in all."""
    generator = np.random.default_rng(seed)
    for rows in _chunks(resamples, n):
        yield generator.integers(n, size=(rows, n))


def _chunks(rows: int, width: int) -> Iterator[int]:
    step = max(1, CHUNK // max(width, 1))
    while rows > 0:
        yield min(step, rows)
        rows -= step
