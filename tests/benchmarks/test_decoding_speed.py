"""Times per step are differences of least times; noise is refused."""

from __future__ import annotations

import pytest
from benchmarks.decoding_speed import step_times


def test_a_step_is_the_least_long_reply_less_the_least_short_one() -> None:
    long, short = [(9.0, 5.0), (7.0, 6.0)], [(3.0, 1.0), (4.0, 2.0)]
    assert step_times(long, short, tokens=5) == (1.0, 1.0)


def test_noise_is_an_error_instead_of_a_figure() -> None:
    with pytest.raises(SystemExit, match="Raise --tokens or --rounds"):
        step_times([(3.0, 5.0)], [(4.0, 1.0)], tokens=5)
