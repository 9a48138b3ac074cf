from __future__ import annotations

import numpy as np
import pytest

from nextgpt.evaluate.metrics.statistics import (
    bca_interval,
    bootstrap_interval,
    mean_result,
    paired_permutation_test,
    share_result,
)


@pytest.mark.parametrize("skew", ["normal", "exponential"])
def test_the_bca_interval_is_that_of_scipy(skew: str):
    stats = pytest.importorskip("scipy.stats", reason="scipy is not installed")
    generator = np.random.default_rng(1)
    values = generator.normal(size=80) if skew == "normal" else generator.exponential(size=80)
    expected = stats.bootstrap((values,), np.mean, n_resamples=20_000, method="BCa", rng=2).confidence_interval
    assert bca_interval(values, resamples=20_000) == pytest.approx(tuple(expected), abs=0.02)


def test_the_clustered_interval_is_that_of_scipy():
    stats = pytest.importorskip("scipy.stats", reason="scipy is not installed")
    generator = np.random.default_rng(3)
    clusters = np.repeat(np.arange(40), generator.integers(1, 6, size=40))
    values = generator.normal(size=40)[clusters] + 0.1 * generator.normal(size=len(clusters))
    sums, counts = np.bincount(clusters, values), np.bincount(clusters)
    expected = stats.bootstrap(
        (sums, counts), lambda s, c, axis=-1: s.sum(axis) / c.sum(axis), paired=True, n_resamples=20_000, rng=4
    ).confidence_interval
    low, high = bca_interval(values, clusters=clusters.tolist(), resamples=20_000)
    assert (low, high) == pytest.approx(tuple(expected), abs=0.03)
    naive_low, naive_high = bca_interval(values)
    assert high - low > 1.3 * (naive_high - naive_low)


def test_intervals_cover_the_true_mean_at_about_their_level():
    covered = 0
    for seed in range(200):
        low, high = bca_interval(np.random.default_rng(seed).exponential(size=40), resamples=500, seed=seed)
        covered += low <= 1 <= high
    assert 176 <= covered <= 199


def test_one_value_and_equal_values_have_no_made_up_interval():
    assert bca_interval([0.5]) == (None, None)
    assert bca_interval([0.5, 0.5, 0.5]) == (0.5, 0.5)
    empty = mean_result("m", [])
    assert (empty.n, empty.low, empty.to_dict()["value"]) == (0, None, None)


def test_a_recomputed_statistic_gets_the_interval_of_its_resamples():
    values = np.random.default_rng(0).normal(size=100)
    low, high = bootstrap_interval(100, lambda index: float(np.median(values[index])), resamples=500)
    assert low < np.median(values) < high
    assert high - low == pytest.approx(4 * 1.2533 / 10, rel=0.35)  # normal theory of a median's standard error


def test_the_permutation_test_is_that_of_scipy():
    stats = pytest.importorskip("scipy.stats", reason="scipy is not installed")
    generator = np.random.default_rng(5)
    first = generator.normal(size=30)
    second = first - 0.15 + 0.4 * generator.normal(size=30)
    ours = paired_permutation_test(first, second)
    theirs = stats.permutation_test(
        (first, second), lambda a, b: np.mean(a - b), permutation_type="samples", vectorized=False, rng=6
    )
    assert ours.p_value == pytest.approx(theirs.pvalue, abs=0.02)
    assert ours.low < ours.difference < ours.high


def test_equal_systems_are_not_told_apart():
    assert paired_permutation_test([1, 0, 1, 1], [1, 0, 1, 1]).p_value == 1.0
    with pytest.raises(ValueError, match="3 and 2 values"):
        paired_permutation_test([1, 0, 1], [1, 0])


def test_values_of_one_item_are_swapped_together():
    first, second = [1.0] * 40, [0.0] * 40
    assert paired_permutation_test(first, second).p_value < 0.001
    assert paired_permutation_test(first, second, clusters=[0] * 20 + [1] * 20).p_value > 0.4


def test_a_share_has_its_wilson_interval():
    result = share_result("share", [True] * 9 + [False])
    assert (result.value, result.n) == (0.9, 10)
    assert (result.low, result.high) == pytest.approx((0.596, 0.982), abs=1e-3)
