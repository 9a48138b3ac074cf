"""Suites of standard tasks in ``nextgpt eval``: progress on standard error, a folder that a later call continues."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any


def run(
    suite: str,
    model: str,
    *,
    data: Path | None,
    systems: Sequence[str],
    metrics: Sequence[str],
    extractors: Sequence[str],
    limit: int | None,
    seed: int,
    steps: int | None,
    out: Path | None,
) -> dict[str, Any]:
    """Run a suite and return its scores; without ``out`` its folder is removed at the end."""
    from nextgpt.cli.progress import ProgressBars, error_console
    from nextgpt.evaluate.standard.run_suite import StandardOptions, run_standard
    from nextgpt.logging import silence_libraries

    silence_libraries()
    with _folder(out) as folder, ProgressBars() as bars:
        options = StandardOptions(
            model, folder, data, systems, limit, seed, steps, metrics, extractors, on_progress=bars.update
        )
        content = run_standard(suite, options)
    if out is not None:
        error_console().print(f"Written: {out}")
    return content


def report(content: dict[str, Any]) -> str:
    """Return the scores of :func:`run` as Markdown tables."""
    from nextgpt.evaluate.standard.score_report import all_to_markdown

    return all_to_markdown(content)


@contextmanager
def _folder(out: Path | None) -> Iterator[Path]:
    if out is not None:
        yield out
        return
    with tempfile.TemporaryDirectory(prefix="nextgpt-eval-") as folder:
        yield Path(folder)
