from __future__ import annotations

import numpy as np
import pytest

from nextgpt.evaluate.metrics import compute_metric
from nextgpt.evaluate.metrics.distributions import cubic_kernel, frechet_distance, gaussian_kernel, squared_mmd


def gaussians(n: int, m: int, d: int = 8, shift: float = 0.3) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(0)
    mixing = generator.normal(size=(d, d))
    return generator.normal(size=(n, d)) @ mixing, generator.normal(size=(m, d)) + shift


def compute(name: str, outputs: np.ndarray, references: np.ndarray):
    (result,) = compute_metric(name, {"output_features": outputs, "reference_features": references})
    return result


@pytest.mark.parametrize(("n", "m"), [(200, 150), (20, 300), (5, 6)])
def test_the_frechet_distance_is_the_formula_with_the_square_root_of_scipy(n: int, m: int):
    linalg = pytest.importorskip("scipy.linalg", reason="scipy is not installed")
    first, second = gaussians(n, m)
    root = linalg.sqrtm(np.cov(first.T) @ np.cov(second.T)).real
    difference = first.mean(0) - second.mean(0)
    expected = difference @ difference + np.trace(np.cov(first.T) + np.cov(second.T) - 2 * root)
    assert frechet_distance(first, second) == pytest.approx(expected, rel=1e-4)
    assert frechet_distance(first, first) == pytest.approx(0, abs=1e-9)


def test_a_fid_has_its_floor_and_no_interval():
    first, second = gaussians(40, 200)
    result = compute("fid", first, second)
    assert (result.low, result.high, result.n) == (None, None, 40)
    assert (result.parameters["floor_n"], result.parameters["floor_references"]) == (40, 160)
    assert 0 < result.parameters["floor"] < result.value


def test_the_squared_mmd_is_the_sum_over_pairs():
    first, second = gaussians(7, 5)
    for kernel in (cubic_kernel, gaussian_kernel(2.0)):

        def value(x, y, kernel=kernel):
            return float(kernel(x[None], y[None])[0, 0])

        within = [
            np.mean([value(x, y) for i, x in enumerate(rows) for j, y in enumerate(rows) if i != j])
            for rows in (first, second)
        ]
        between = np.mean([value(x, y) for x in first for y in second])
        assert squared_mmd(first, second, kernel) == pytest.approx(sum(within) - 2 * between)
    assert float(cubic_kernel(first[:1], second[:1])[0, 0]) == pytest.approx((first[0] @ second[0] / 8 + 1) ** 3)
    distance = np.linalg.norm(first[0] - second[0])
    assert float(gaussian_kernel(2.0)(first[:1], second[:1])[0, 0]) == pytest.approx(np.exp(-(distance**2) / 8))


@pytest.mark.parametrize("name", ["kid", "kad"])
def test_intervals_of_kernel_distances_cover_zero_for_equal_distributions(name: str):
    covered, widths = 0, []
    for seed in range(30):
        generator = np.random.default_rng(seed)
        result = compute(name, generator.normal(size=(60, 6)), generator.normal(size=(60, 6)))
        covered += result.low <= 0 <= result.high
        widths.append(result.high - result.low)
    assert covered >= 25
    shifted = compute(name, generator.normal(size=(60, 6)) + 1, generator.normal(size=(60, 6)))
    assert shifted.low > 0
    assert shifted.value > 2 * np.mean(widths)


def test_two_items_have_no_kernel_distance():
    result = compute("kid", *gaussians(2, 3))
    assert np.isnan(result.value)
    assert result.to_dict()["value"] is None


def test_features_of_different_extractors_are_refused():
    with pytest.raises(ValueError, match=r"shapes \(4, 8\) and \(4, 7\)"):
        compute("fid", np.zeros((4, 8)), np.zeros((4, 7)))


def test_the_inception_score_counts_confident_and_equally_frequent_classes():
    confident = np.eye(5)[np.arange(500) % 5]
    (result,) = compute_metric("is", {"output_probabilities": confident})
    assert 4.7 < result.value <= 5  # the classes of a random split are not quite equally frequent
    assert result.parameters["splits"] == 10
    (one_class,) = compute_metric("is", {"output_probabilities": np.eye(5)[np.zeros(60, int)]})
    assert (one_class.value, one_class.low) == (pytest.approx(1), None)


def test_the_inception_score_is_the_divergence_of_the_classes_from_their_mean():
    probabilities = np.random.default_rng(0).dirichlet(np.full(6, 0.3), size=90)
    mean = probabilities.mean(0)
    divergences = [sum(p * np.log(p / q) for p, q in zip(row, mean, strict=True)) for row in probabilities]
    (result,) = compute_metric("is", {"output_probabilities": probabilities})
    assert result.value == pytest.approx(np.exp(np.mean(divergences)))
