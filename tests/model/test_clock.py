"""The clock: time is counted for the step that took it, not for who reads in between."""

from __future__ import annotations

import pytest

from nextgpt.model import clock as module
from nextgpt.model.clock import Clock


@pytest.fixture
def now(monkeypatch):
    """A clock that moves only when told to."""
    seconds = [0.0]
    monkeypatch.setattr(module.time, "perf_counter", lambda: seconds[0])
    return seconds


def test_steps_of_one_name_add_up(now):
    clock = Clock()
    for _ in range(2):
        with clock.measure("encoding"):
            now[0] += 1.5
    assert clock.seconds == {"encoding": 3.0}


def test_a_readers_time_is_not_counted(now):
    clock = Clock()

    def work():
        for name in ("image", "audio"):
            now[0] += 2.0
            yield name

    for _ in clock.each(work(), lambda name: name):
        now[0] += 100.0
    assert clock.seconds == {"image": 2.0, "audio": 2.0}


def test_time_is_counted_where_a_step_fails(now):
    clock = Clock()
    with pytest.raises(RuntimeError), clock.measure("llm"):
        now[0] += 1.0
        raise RuntimeError
    assert clock.seconds == {"llm": 1.0}
