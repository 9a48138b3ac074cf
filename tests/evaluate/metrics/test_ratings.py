from __future__ import annotations

import numpy as np
import pytest

from nextgpt.evaluate.metrics.ratings import Rating, Vote, bradley_terry, mean_rating, ordinal_alpha, rater_drift


def simulated(noise: float = 1.0, drift: float = 0.0, items: int = 40) -> list[Rating]:
    generator = np.random.default_rng(0)
    quality = generator.uniform(2, 9, size=items)
    ratings = []
    for rater in range(4):
        order = generator.permutation(items)
        for position, item in enumerate(order):
            change = drift * (position >= items // 2) if rater == 0 else 0
            value = quality[item] + noise * generator.normal() + change
            if generator.random() < 0.9:
                ratings.append(Rating(int(item), rater, float(np.clip(round(value), 1, 10)), position))
    return ratings


def test_alpha_is_that_of_the_reference_package():
    krippendorff = pytest.importorskip("krippendorff", reason="krippendorff is GPL-3 and not part of an extra")
    ratings = simulated()
    table = np.full((4, 40), np.nan)
    for row in ratings:
        table[row.rater, row.item] = row.value
    expected = krippendorff.alpha(reliability_data=table, level_of_measurement="ordinal")
    result = ordinal_alpha(ratings)
    assert result.value == pytest.approx(expected, abs=1e-9)
    assert result.low < result.value < result.high


def test_alpha_is_that_of_a_published_example():
    """Krippendorff, Computing Krippendorff's Alpha-Reliability (2011), section C: four observers, ordinal .815."""
    observers = [
        [1, 2, 3, 3, 2, 1, 4, 1, 2, None, None, None],
        [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, None, 3],
        [None, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, None],
        [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, None],
    ]
    ratings = [
        Rating(unit, rater, value)
        for rater, values in enumerate(observers)
        for unit, value in enumerate(values)
        if value is not None
    ]
    result = ordinal_alpha(ratings)
    assert result.value == pytest.approx(0.815, abs=5e-4)
    assert (result.n, dict(result.left_out)) == (11, {"items with one rating": 1})


def test_raters_at_random_do_not_agree():
    generator = np.random.default_rng(1)
    ratings = [Rating(item, rater, float(generator.integers(1, 11))) for item in range(60) for rater in range(3)]
    result = ordinal_alpha(ratings)
    assert result.low < 0 < result.high
    assert np.isnan(ordinal_alpha([Rating(1, 1, 5.0), Rating(1, 2, 5.0)]).value)


def test_no_ratings_and_no_votes_have_no_values():
    assert np.isnan(ordinal_alpha([]).value)
    assert np.isnan(ordinal_alpha([Rating(1, 1, 5.0)]).value)
    assert mean_rating("quality", []).n == 0
    assert rater_drift([]) == {}
    assert bradley_terry([]) == {}


def test_a_mean_rating_is_clustered_by_item():
    few_items = [Rating(item, rater, float(1 + 8 * (item % 2))) for item in range(6) for rater in range(20)]
    result = mean_rating("quality", few_items)
    assert (result.value, result.n, result.parameters["items"]) == (5.0, 120, 6)
    assert result.high - result.low > 3


def test_drift_is_found_in_the_rater_who_drifts():
    drifts = rater_drift(simulated(noise=0.5, drift=2.0))
    assert drifts[0].low > 0.5
    assert drifts[0].value == pytest.approx(2, abs=0.7)
    assert all(drifts[rater].low < 0 < drifts[rater].high for rater in (1, 2, 3))


def test_bradley_terry_orders_systems_by_strength():
    generator = np.random.default_rng(0)
    strength = {"a": 4.0, "b": 2.0, "c": 1.0}
    votes = []
    for item in range(300):
        first, second = generator.choice(list(strength), size=2, replace=False)
        wins = generator.random() < strength[first] / (strength[first] + strength[second])
        votes.append(Vote(item, str(first), str(second), str(first) if wins else str(second)))
    results = bradley_terry(votes)
    for name, others in (("a", "bc"), ("b", "ac"), ("c", "ab")):
        expected = np.mean([strength[name] / (strength[name] + strength[other]) for other in others])
        assert results[name].low < expected < results[name].high
    assert results["a"].low > results["c"].high


def test_ties_and_unbeaten_systems_have_finite_strengths():
    tied = bradley_terry([Vote(i, "a", "b", None) for i in range(5)])
    assert tied["a"].value == pytest.approx(0.5)
    assert tied["a"].parameters["ties"] == 5
    unbeaten = bradley_terry([Vote(i, "a", "b", "a") for i in range(5)])
    assert 0.9 < unbeaten["a"].value < 1
