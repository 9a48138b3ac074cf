"""Bars on standard error while something is made; plain lines where that is no terminal."""

from __future__ import annotations

import sys
from types import TracebackType

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)


def error_console() -> Console:
    """Standard error; brackets in what is printed are no markup."""
    return Console(file=sys.stderr, highlight=False, markup=False, soft_wrap=True)


class Task:
    """One bar at a time, renewed when something else begins.

    Args:
        console: Standard error.
        has_lines: What is told is printed line by line where ``console`` is no terminal, else nothing is.
    """

    def __init__(self, console: Console, *, has_lines: bool = True) -> None:
        self._console = console
        self._has_lines = has_lines
        self._bar: Progress | None = None
        self._what = ""

    def tell(self, what: str, done: int, total: int, details: str = "") -> None:
        """Say that ``done`` of ``total`` is done of ``what``."""
        if not self._console.is_terminal:
            if self._has_lines:
                self._console.print(f"{what} {done}/{total} {details}".rstrip())
            return
        if self._bar is None or what != self._what:
            self.clear()
            self._begin(what, total)
        assert self._bar is not None
        self._bar.update(self._bar.task_ids[0], completed=done, total=total, details=details)

    def clear(self) -> None:
        """Take the bar away."""
        if self._bar is not None:
            self._bar.stop()
        self._bar = None

    def _begin(self, what: str, total: int) -> None:
        self._what = what
        self._bar = Progress(
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
        self._bar.add_task(what, total=total, details="")
        self._bar.start()

    def __enter__(self) -> Task:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.clear()
