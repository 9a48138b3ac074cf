"""Distances between the features of outputs and of true media: FID, FD, FAD, KID, KAD; and the Inception Score.

A name such as FID or FAD states the extractor of the features; the formula is the same. Features are (n, d).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from nextgpt.evaluate.metrics.result import MetricResult

SUBSETS = 100
MAX_SUBSET = 1000
"""Largest subset of KID and KAD, as published."""
SPLITS = 10
"""Splits of the Inception Score, as published."""
MIN_SPLIT = 50
KAD_SCALE = 100.0
"""Factor of KAD as its authors print it."""

Kernel = Callable[[np.ndarray, np.ndarray], np.ndarray]


def frechet_distance(first: np.ndarray, second: np.ndarray) -> float:
    """Return the Fréchet distance between Gaussians fitted to two sets of features (n, d) and (m, d).

    With centred features A and B over the root of their degrees of freedom, ``tr sqrt(AᵀA BᵀB)`` is the nuclear
    norm of ``A Bᵀ``. This needs no square root of a matrix that is singular if there are fewer items than features.
    """
    _check_width(first, second)
    (mean_1, factor_1), (mean_2, factor_2) = _gaussian_factor(first), _gaussian_factor(second)
    trace = np.linalg.svd(factor_1 @ factor_2.T, compute_uv=False).sum()
    variances = (factor_1**2).sum() + (factor_2**2).sum()
    return max(0.0, float(((mean_1 - mean_2) ** 2).sum() + variances - 2 * trace))


def _gaussian_factor(features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the mean and a matrix F of at most d rows with covariance ``FᵀF``."""
    array = np.asarray(features, np.float64)
    mean = array.mean(0)
    centred = (array - mean) / np.sqrt(max(1, len(array) - 1))
    return mean, centred if len(array) <= array.shape[1] else np.linalg.qr(centred, mode="r")


def _frechet_metric(name: str) -> Callable[..., MetricResult]:
    def compute(output_features: np.ndarray, reference_features: np.ndarray, *, seed: int = 0) -> MetricResult:
        value = frechet_distance(output_features, reference_features)
        floor, floor_n, floor_m = _real_floor(len(output_features), reference_features, seed)
        parameters = {
            "references": len(reference_features),
            "floor": floor,
            "floor_n": floor_n,
            "floor_references": floor_m,
            "width": output_features.shape[1],
        }
        return MetricResult(name, value, None, None, len(output_features), {}, parameters)

    compute.__doc__ = f"""Return the Fréchet distance of features under the name {name}, beside its floor.

    The value depends on n, and no bootstrap corrects that (a resample has a larger distance than the data). So there is
    no interval, but ``parameters['floor']``: the distance of ``floor_n`` true media to the other true media.
    """
    return compute


def _real_floor(n: int, references: np.ndarray, seed: int) -> tuple[float, int, int]:
    """Return the distance between disjoint true sets, one of ``n`` items or of half the references, and their sizes."""
    first = min(n, len(references) // 2)
    order = np.random.default_rng(seed).permutation(len(references))
    if first < 2:
        return float("nan"), first, len(references) - first
    value = frechet_distance(references[order[:first]], references[order[first:]])
    return value, first, len(references) - first


fid, fd, fad = _frechet_metric("fid"), _frechet_metric("fd"), _frechet_metric("fad")


def cubic_kernel(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return the kernel of KID, ``(x·y / d + 1)³``."""
    return (first @ second.T / first.shape[1] + 1) ** 3


def gaussian_kernel(bandwidth: float) -> Kernel:
    """Return the kernel of KAD, ``exp(-|x - y|² / 2 bandwidth²)``."""

    def kernel(first: np.ndarray, second: np.ndarray) -> np.ndarray:
        return np.exp(-_squared_distances(first, second) / (2 * bandwidth**2))

    return kernel


def squared_mmd(first: np.ndarray, second: np.ndarray, kernel: Kernel) -> float:
    """Return the unbiased squared maximum mean discrepancy; it may be negative."""
    n, m = len(first), len(second)
    within_1, within_2 = kernel(first, first), kernel(second, second)
    same = (within_1.sum() - np.trace(within_1)) / (n * (n - 1)) + (within_2.sum() - np.trace(within_2)) / (m * (m - 1))
    return float(same - 2 * kernel(first, second).mean())


def kid(output_features: np.ndarray, reference_features: np.ndarray, *, seed: int = 0) -> MetricResult:
    """Return the Kernel Inception Distance: mean over random subsets of the squared MMD with a cubic kernel.

    Unbiased at any n. The interval comes from the spread of the subsets (delete-d jackknife).
    """
    return _mmd_over_subsets("kid", output_features, reference_features, cubic_kernel, 1.0, seed)


def kad(output_features: np.ndarray, reference_features: np.ndarray, *, seed: int = 0) -> MetricResult:
    """Return the Kernel Audio Distance, times 100: squared MMD with a Gaussian kernel.

    The bandwidth is the median distance between true media.
    """
    sample = np.random.default_rng(seed).permutation(len(reference_features))[:MAX_SUBSET]
    distances = _squared_distances(reference_features[sample], reference_features[sample])
    bandwidth = float(np.sqrt(np.median(distances[~np.eye(len(distances), dtype=bool)]))) if len(sample) > 1 else 1.0
    return _mmd_over_subsets(
        "kad", output_features, reference_features, gaussian_kernel(bandwidth or 1.0), KAD_SCALE, seed
    )


def _mmd_over_subsets(
    name: str, outputs: np.ndarray, references: np.ndarray, kernel: Kernel, scale: float, seed: int
) -> MetricResult:
    """Return the mean MMD of subsets of half the items, with an interval from their spread.

    Half samples without replacement vary about as much as the whole sample does around its expectation; smaller
    subsets vary more, by (n - m) / m.
    """
    _check_width(outputs, references)
    n = min(len(outputs), len(references))
    size = min(n // 2, MAX_SUBSET)
    parameters = {"references": len(references), "subsets": SUBSETS, "subset_size": size, "scale": scale}
    if size < 2:
        return MetricResult(name, float("nan"), None, None, len(outputs), {}, parameters)
    generator = np.random.default_rng(seed)
    first, second = np.asarray(outputs, np.float64), np.asarray(references, np.float64)
    values = scale * np.array(
        [
            squared_mmd(
                first[generator.permutation(len(first))[:size]],
                second[generator.permutation(len(second))[:size]],
                kernel,
            )
            for _ in range(SUBSETS)
        ]
    )
    margin = 1.959964 * float(values.std(ddof=1)) * np.sqrt(size / (n - size))
    value = float(values.mean())
    return MetricResult(name, value, value - margin, value + margin, len(outputs), {}, parameters)


def inception_score(output_probabilities: np.ndarray, *, seed: int = 0) -> MetricResult:
    """Return the Inception Score: exponential of the mean divergence of class probabilities from their mean.

    The mean over 10 random splits, as published; fewer splits below 500 items, and no interval from one split.
    """
    n = len(output_probabilities)
    splits = max(1, min(SPLITS, n // MIN_SPLIT))
    parameters = {"splits": splits, "classes": output_probabilities.shape[1]}
    if not n:
        return MetricResult("is", float("nan"), None, None, 0, {}, parameters)
    order = np.random.default_rng(seed).permutation(n)
    values = np.array([_split_score(output_probabilities[part]) for part in np.array_split(order, splits)])
    value = float(values.mean())
    margin = 1.959964 * float(values.std(ddof=1)) / np.sqrt(splits) if splits > 1 else None
    low, high = (None, None) if margin is None else (value - margin, value + margin)
    return MetricResult("is", value, low, high, n, {}, parameters)


def _split_score(probabilities: np.ndarray) -> float:
    clipped = np.clip(np.asarray(probabilities, np.float64), 1e-16, None)
    divergence = (clipped * (np.log(clipped) - np.log(clipped.mean(0)))).sum(1)
    return float(np.exp(divergence.mean()))


def _squared_distances(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    squares = (first**2).sum(1)[:, None] + (second**2).sum(1) - 2 * first @ second.T
    return np.maximum(squares, 0)


def _check_width(first: np.ndarray, second: np.ndarray) -> None:
    if first.ndim != 2 or second.ndim != 2 or first.shape[1] != second.shape[1]:
        raise ValueError(f"features: got the shapes {first.shape} and {second.shape}; expected (n, d) and (m, d).")
    if len(first) == 0 or len(second) == 0:
        raise ValueError(f"features: got {len(first)} outputs and {len(second)} references; expected at least one.")
