"""Bars on standard error: one for each thing that is being done."""

from __future__ import annotations

from io import StringIO
from typing import ClassVar

import pytest
from rich.console import Console

from nextgpt.cli import progress
from nextgpt.cli.progress import ProgressBars


class Recorded(progress.Progress):
    """Keeps what it shows."""

    shown: ClassVar[list[Recorded]] = []

    def start(self) -> None:
        self.shown.append(self)
        super().start()


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> list[Recorded]:
    monkeypatch.setattr(Recorded, "shown", [])
    monkeypatch.setattr(progress, "Progress", Recorded)
    return Recorded.shown


def terminal() -> Console:
    return Console(file=StringIO(), force_terminal=True)


def test_things_that_are_done_at_once_have_a_bar_each_that_is_not_begun_anew(shown: list[Recorded]) -> None:
    with ProgressBars(terminal(), lines="never") as bars:
        for step in (1, 2, 3):
            bars.update("image", step, 6)
            bars.update("audio", step, 4)
        (progress_shown,) = shown
        assert [(bar.description, bar.completed, bar.total) for bar in progress_shown.tasks] == [
            ("image", 3, 6),
            ("audio", 3, 4),
        ]


def test_what_is_done_goes_when_something_else_begins(shown: list[Recorded]) -> None:
    with ProgressBars(terminal(), lines="never") as bars:
        bars.update("1-encoding", 5, 5)
        bars.update("2-decoding", 1, 9)
        assert [bar.description for bar in shown[0].tasks] == ["2-decoding"]
        bars.clear()
        bars.update("2-decoding", 2, 9)
        assert len(shown) == 2 and [bar.completed for bar in shown[1].tasks] == [2]


@pytest.mark.parametrize("has_lines", [True, False])
def test_elsewhere_lines_are_printed_where_they_are_wanted(has_lines: bool) -> None:
    written = StringIO()
    with ProgressBars(Console(file=written), lines="updates" if has_lines else "never") as bars:
        bars.update("image", 1, 6, "loss 0.5")
    assert written.getvalue() == ("image 1/6 loss 0.5\n" if has_lines else "")
