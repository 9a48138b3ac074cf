"""Progress of long work in stages, on standard error: a bar in a terminal, a line a stage elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

Tell = Callable[[str, int, int], None]


@contextmanager
def stages() -> Iterator[Tell]:
    """Yield what is to be told of each stage: its name, how much of it is done, and how much there is."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield _line_a_stage(console)
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console) as bars:
        known: dict[str, TaskID] = {}

        def tell(stage: str, done: int, total: int) -> None:
            if stage not in known:
                known[stage] = bars.add_task(stage, total=total)
            bars.update(known[stage], completed=done)

        yield tell


def _line_a_stage(console: Console) -> Tell:
    began: dict[str, float] = {}

    def tell(stage: str, done: int, total: int) -> None:
        start = began.setdefault(stage, time.perf_counter())
        if done == total:
            console.print(f"{stage}: {total} in {time.perf_counter() - start:.1f} s", highlight=False)

    return tell
