from __future__ import annotations

import pytest

from nextgpt.evaluate.score import Score, wilson_interval


def test_the_interval_is_that_of_the_textbook() -> None:
    # Newcombe (1998), table I: 81 of 263 is 0.2553 to 0.3662.
    assert wilson_interval(81, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)


def test_the_interval_stays_a_share_where_all_cases_agree() -> None:
    low, high = wilson_interval(200, 200)
    assert high == pytest.approx(1) and 0.97 < low < 1
    assert wilson_interval(0, 200) == pytest.approx((0.0, 1 - low))


def test_a_score_counts_cases_and_says_what_the_judge_is_worth() -> None:
    score = Score.from_outcomes("row", [True, False, True, True], judge=[True, True, True, False])
    assert (score.value, score.cases, score.judge) == (0.75, 4, 0.75)
    assert score.low < 0.75 < score.high


def test_a_row_without_cases_says_that_nothing_is_known() -> None:
    score = Score.from_outcomes("row", [])
    assert (score.value, score.low, score.high, score.cases, score.judge) == (0.0, 0.0, 1.0, 0, None)
