"""Bars on standard error while something is made; plain lines where that is no terminal."""

from __future__ import annotations

import sys
from types import TracebackType

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


def error_console() -> Console:
    """Standard error; brackets in what is printed are no markup."""
    return Console(file=sys.stderr, highlight=False, markup=False, soft_wrap=True)


class Task:
    """A bar for each thing that is being done; those that are done go away when something else begins.

    Args:
        console: Standard error.
        has_lines: What is told is printed line by line where ``console`` is no terminal, else nothing is.
    """

    def __init__(self, console: Console, *, has_lines: bool = True) -> None:
        self._console = console
        self._has_lines = has_lines
        self._bars: Progress | None = None
        self._known: dict[str, TaskID] = {}

    def tell(self, what: str, done: int, total: int, details: str = "") -> None:
        """Say that ``done`` of ``total`` is done of ``what``."""
        if not self._console.is_terminal:
            if self._has_lines:
                self._console.print(f"{what} {done}/{total} {details}".rstrip())
            return
        if self._bars is None:
            self._bars = self._begin()
        if what not in self._known:
            self._forget_done(self._bars)
            self._known[what] = self._bars.add_task(what, total=total, details="")
        self._bars.update(self._known[what], completed=done, total=total, details=details)

    def clear(self) -> None:
        """Take the bars away."""
        if self._bars is not None:
            self._bars.stop()
        self._bars = None
        self._known.clear()

    def _forget_done(self, bars: Progress) -> None:
        for task in bars.tasks:
            if task.finished:
                bars.remove_task(task.id)
                del self._known[task.description]

    def _begin(self) -> Progress:
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

    def __enter__(self) -> Task:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.clear()
