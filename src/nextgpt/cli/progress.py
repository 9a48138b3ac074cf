"""Progress bars on standard error; plain lines if that is no terminal."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import Literal

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

LineMode = Literal["never", "updates", "totals"]
"""Lines that are printed: none, every update (without a terminal), or one per finished stage."""


def error_console() -> Console:
    """Return a console on standard error that prints brackets as they are."""
    return Console(file=sys.stderr, highlight=False, markup=False, soft_wrap=True)


class ProgressBars:
    """A bar per running stage; finished bars disappear when another stage starts.

    Args:
        console: Standard error if ``None``.
        lines: Lines printed besides the bars.
    """

    def __init__(self, console: Console | None = None, *, lines: LineMode = "totals") -> None:
        self._console = console or error_console()
        self._lines = lines
        self._bars: Progress | None = None
        self._tasks: dict[str, TaskID] = {}
        self._started: dict[str, float] = {}

    def update(self, stage: str, done: int, total: int, details: str = "") -> None:
        """Show that ``done`` of ``total`` is done."""
        start = self._started.setdefault(stage, time.perf_counter())
        if self._console.is_terminal:
            self._update_bar(stage, done, total, details)
        elif self._lines == "updates":
            self._console.print(f"{stage} {done}/{total} {details}".rstrip())
        if self._lines == "totals" and done == total:
            self._console.print(f"{stage}: {total} in {time.perf_counter() - start:.1f} s")

    def clear(self) -> None:
        """Remove all bars."""
        if self._bars is not None:
            self._bars.stop()
        self._bars = None
        self._tasks.clear()

    def _update_bar(self, stage: str, done: int, total: int, details: str) -> None:
        if self._bars is None:
            self._bars = self._start()
        if stage not in self._tasks:
            self._remove_finished(self._bars)
            self._tasks[stage] = self._bars.add_task(stage, total=total, details="")
        self._bars.update(self._tasks[stage], completed=done, total=total, details=details)

    def _remove_finished(self, bars: Progress) -> None:
        for task in bars.tasks:
            if task.finished:
                bars.remove_task(task.id)
                del self._tasks[task.description]

    def _start(self) -> Progress:
        bars = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[details]}"),
            console=self._console,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        bars.start()
        return bars

    def __enter__(self) -> ProgressBars:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.clear()
