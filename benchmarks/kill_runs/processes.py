"""Processes that are killed, and the counts of what was found afterwards."""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from multiprocessing.process import BaseProcess
from typing import Any

from tqdm.auto import tqdm

WAIT_S = 1200.0
"""Time for work that is not killed."""


@dataclass
class Report:
    """Counts of one kind of work."""

    counts: Counter[str] = field(default_factory=Counter)
    violations: list[str] = field(default_factory=list)

    def check(self, holds: bool, violation: str) -> None:
        """Count a check; note the violation if it fails."""
        self.counts["checks"] += 1
        if not holds:
            self.violations.append(violation)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values."""
        counts = {name: count for name, count in self.counts.items() if not name.startswith("last_")}
        return {**counts, "violations": self.violations[:20]}


def start(work: Callable[[], None]) -> BaseProcess:
    """Start work in a copy of this process, which has imported everything."""

    def run() -> None:
        # Progress bars share a lock with the parent; a process that is killed while it holds it never gives it back.
        tqdm.set_lock(threading.RLock())
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, 1)
        os.dup2(null, 2)
        work()

    process = multiprocessing.get_context("fork").Process(target=run)
    process.start()
    return process


def run_to_end(work: Callable[[], None]) -> None:
    """Run work in another process. Raises :class:`RuntimeError` if it fails."""
    process = start(work)
    process.join(WAIT_S)
    if process.exitcode != 0:
        raise RuntimeError(f"the undisturbed run ended with status {process.exitcode}")
