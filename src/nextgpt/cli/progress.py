"""A bar on standard error while a medium is made."""

from __future__ import annotations

from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bars

from nextgpt.message import Progress


class StepBar:
    """One bar for the medium at hand; gone when it is done, and never there where standard error is no terminal."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._bars: Bars | None = None
        self._modality = ""

    def step(self, step: Progress) -> None:
        """Move on to ``step``; a step of another modality begins a new bar."""
        if not self._console.is_terminal:
            return
        if self._bars is None or step.modality != self._modality:
            self.clear()
            self._begin(step)
        assert self._bars is not None
        self._bars.update(self._bars.task_ids[0], completed=step.step, total=step.total)

    def clear(self) -> None:
        """Take the bar away."""
        if self._bars is not None:
            self._bars.stop()
        self._bars = None

    def _begin(self, step: Progress) -> None:
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        self._bars = Bars(*columns, console=self._console, transient=True, redirect_stdout=False, redirect_stderr=False)
        self._bars.add_task(step.modality, total=step.total)
        self._bars.start()
        self._modality = step.modality

    def __enter__(self) -> StepBar:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.clear()
