"""Ratings by people: means, agreement, drift, and preferences of pairs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np

from nextgpt.evaluate.metrics.result import MetricResult
from nextgpt.evaluate.metrics.statistics import bootstrap_interval, mean_result, resampled_indices

HALF_VOTE = 0.5
"""Win that each side of a tie gets."""
BOOTSTRAP_RESAMPLES = 200
MAX_ITERATIONS = 500
PRIOR_WINS = 0.1
"""Virtual wins of each of a pair, so that a system that always wins has a finite strength."""


@dataclass(frozen=True)
class Rating:
    """One rating of one output by one rater."""

    item: Hashable
    rater: Hashable
    value: float
    position: int = 0
    """Number of ratings that the rater gave before."""


@dataclass(frozen=True)
class Vote:
    """One choice between the outputs of two systems."""

    item: Hashable
    first: str
    second: str
    winner: str | None
    """The first or second system; None for a tie."""


def mean_rating(name: str, ratings: Sequence[Rating]) -> MetricResult:
    """Return the mean rating, with an interval clustered by item."""
    parameters = {"items": len({row.item for row in ratings}), "raters": len({row.rater for row in ratings})}
    values = [row.value for row in ratings]
    return mean_result(name, values, clusters=[row.item for row in ratings], parameters=parameters)


def ordinal_alpha(ratings: Sequence[Rating]) -> MetricResult:
    """Return Krippendorff's alpha for ordinal values: 1 is full agreement, 0 that of chance.

    Items with one rating do not count. The interval resamples items. Alpha is NaN if all values are equal.
    """
    by_item: dict[Hashable, list[float]] = {}
    for row in ratings:
        by_item.setdefault(row.item, []).append(row.value)
    units = [values for values in by_item.values() if len(values) > 1]
    scale = sorted({value for values in units for value in values})
    tables = np.array([_coincidences(values, scale) for values in units]).reshape(len(units), len(scale), len(scale))
    alpha = _alpha(tables.sum(0))
    low, high = bootstrap_interval(len(tables), lambda index: _alpha(tables[index].sum(0)))
    left_out = {"items with one rating": len(by_item) - len(units)}
    parameters = {"values": scale, "metric": "ordinal"}
    return MetricResult("ordinal_alpha", alpha, low, high, len(units), {}, parameters).with_left_out(left_out)


def _coincidences(values: Sequence[float], scale: Sequence[float]) -> np.ndarray:
    """Return the coincidence matrix of one item: ordered pairs of its values, over its number of ratings less one."""
    counts = Counter(values)
    row = np.array([counts[value] for value in scale], np.float64)
    return (np.outer(row, row) - np.diag(row)) / (len(values) - 1)


def _alpha(coincidences: np.ndarray) -> float:
    totals = coincidences.sum(0)
    n = totals.sum()
    if n <= 1:
        return float("nan")
    # The ordinal distance of two values is the number of ratings between them, the two themselves counted half.
    ranks = np.cumsum(totals) - totals / 2
    distances = (ranks[:, None] - ranks) ** 2
    expected = (np.outer(totals, totals) * distances).sum() / (n - 1)
    return float(1 - (coincidences * distances).sum() / expected) if expected else float("nan")


def rater_drift(ratings: Sequence[Rating]) -> dict[Hashable, MetricResult]:
    """Return how far each rater's ratings rose from the first to the second half of the rater's order.

    A rating counts relative to the mean of the other raters of its item, so that harder items do not look like drift.
    Items without another rater do not count; the interval is that of a difference of means.
    """
    sums: dict[Hashable, float] = {}
    counts: Counter[Hashable] = Counter()
    for row in ratings:
        sums[row.item] = sums.get(row.item, 0.0) + row.value
        counts[row.item] += 1
    results = {}
    for rater in dict.fromkeys(row.rater for row in ratings):
        rows = sorted((row for row in ratings if row.rater == rater), key=lambda row: row.position)
        scored = [row for row in rows if counts[row.item] > 1]
        residuals = [row.value - (sums[row.item] - row.value) / (counts[row.item] - 1) for row in scored]
        half = len(residuals) // 2
        centre = float(np.mean(residuals)) if residuals else 0.0  # how severe the rater is does not matter here
        early, late = residuals[:half], residuals[len(residuals) - half :]
        drift = mean_result(
            "drift", [2 * (centre - value) for value in early] + [2 * (value - centre) for value in late]
        )
        results[rater] = drift.with_left_out({"items with one rater": len(rows) - len(scored)})
    return results


def bradley_terry(votes: Sequence[Vote]) -> dict[str, MetricResult]:
    """Return the strength of each system: probability of winning against the average of the others.

    Strengths are fitted to all votes by maximum likelihood (Hunter 2004), ties count half; intervals resample items.
    """
    if not votes:
        return {}
    systems = sorted({name for vote in votes for name in (vote.first, vote.second)})
    items = {item: index for index, item in enumerate(dict.fromkeys(vote.item for vote in votes))}
    wins = np.zeros((len(items), len(systems), len(systems)))
    for vote in votes:
        item, first, second = items[vote.item], systems.index(vote.first), systems.index(vote.second)
        share = HALF_VOTE if vote.winner is None else float(vote.winner == vote.first)
        wins[item, first, second] += share
        wins[item, second, first] += 1 - share
    shares = _win_shares(wins.sum(0))
    samples = [rows for chunk in resampled_indices(len(items), BOOTSTRAP_RESAMPLES, seed=0) for rows in chunk]
    low, high = np.quantile([_win_shares(wins[rows].sum(0)) for rows in samples], [0.025, 0.975], axis=0)
    results = {}
    for index, system in enumerate(systems):
        played = [vote for vote in votes if system in (vote.first, vote.second)]
        parameters = {"items": len(items), "ties": sum(vote.winner is None for vote in played)}
        ends = float(low[index]), float(high[index])
        results[system] = MetricResult("bradley_terry", float(shares[index]), *ends, len(played), {}, parameters)
    return results


def _win_shares(wins: np.ndarray) -> np.ndarray:
    """Return for each system the mean probability of winning against each other one."""
    count = len(wins)
    if count < 2:
        return np.full(count, 0.5)
    wins = wins + PRIOR_WINS * (1 - np.eye(count))
    games = wins + wins.T
    strengths = np.ones(count)
    for _ in range(MAX_ITERATIONS):
        previous = strengths
        strengths = wins.sum(1) / (games / (strengths[:, None] + strengths)).sum(1)
        strengths = strengths / np.exp(np.log(strengths).mean())
        if np.abs(strengths / previous - 1).max() < 1e-6:
            break
    probabilities = strengths[:, None] / (strengths[:, None] + strengths)
    return (probabilities.sum(1) - 0.5) / (count - 1)
