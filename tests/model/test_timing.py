"""The clock: time is counted for the step that took it, not for who reads in between."""

from __future__ import annotations

import pytest

from nextgpt.model import timing as module
from nextgpt.model.timing import StageTimer


@pytest.fixture
def now(monkeypatch):
    """A clock that moves only when told to."""
    seconds = [0.0]
    monkeypatch.setattr(module.time, "perf_counter", lambda: seconds[0])
    return seconds


def test_steps_of_one_name_add_up(now):
    timer = StageTimer()
    for _ in range(2):
        with timer.time("encoding"):
            now[0] += 1.5
    assert timer.seconds == {"encoding": 3.0}


def test_the_consumers_time_is_not_counted(now):
    timer = StageTimer()

    def work():
        for number in range(2):
            now[0] += 2.0
            yield number

    for _ in timer.time_each("image", work()):
        now[0] += 100.0
    assert timer.seconds == {"image": 4.0}


def test_time_is_counted_where_a_step_fails(now):
    timer = StageTimer()
    with pytest.raises(RuntimeError), timer.time("llm"):
        now[0] += 1.0
        raise RuntimeError
    assert timer.seconds == {"llm": 1.0}
