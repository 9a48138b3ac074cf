"""A recipe is run under a bar or told in a table: what ``nextgpt train`` does once it has read one."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from rich.console import Console
from rich.table import Table

from nextgpt.cli.progress import Task, error_console
from nextgpt.media.save_media import wrap_write_errors
from nextgpt.train.outline import outline
from nextgpt.train.recipe import BaseRecipe, run_recipe

Tell = Callable[[str], None]
Files = dict[Path, tuple[int, int]]
"""Files with when they were last written, in ns, and their size in bytes."""


def run(name: str, recipe: BaseRecipe, tell: Tell) -> list[str]:
    """Run a recipe under a bar, ``tell`` how far it is, and give lines that say what was written."""
    console = error_console()
    before = _files(recipe.model)
    with Task(console) as task:

        def report(metrics: dict[str, float]) -> None:
            step, speed = int(metrics["step"]), metrics["samples_per_s"]
            steps = int(
                metrics.get("steps", recipe.fit.max_steps)
            )  # named where a run has a part of its own before
            measured = f"loss {metrics['loss']:.4g}, {speed:.4g} {recipe.sample}s/s"
            batch_size = metrics.get("batch_size", recipe.fit.batch_size)
            left = f"{measured}, {_time((steps - step) * batch_size / speed)} left"
            tell(f"{name} {step}/{steps} {left}")
            task.tell(
                name, step, steps, measured if console.is_terminal else left
            )  # a bar has the time itself

        is_new = run_recipe(recipe, report)
    if not is_new:
        return [f"{name}: done before by this very recipe; delete {recipe.work} to train it again"]
    return _written(before, _files(recipe.model)) or [f"{name}: nothing new in {recipe.model}"]


def show(recipe: BaseRecipe) -> None:
    """Print how many parameters of each part a recipe trains, and how many stay frozen."""
    shares = outline(recipe)
    table = Table(box=None, pad_edge=False, show_footer=True)
    table.add_column("part", "together")
    for name in ("trained", "frozen"):
        total = sum(getattr(share, name) for share in shares)
        table.add_column(name, f"{total:,}", justify="right")
    for share in shares:
        table.add_row(share.part, f"{share.trained:,}", f"{share.frozen:,}")
    Console().print(table)


def _files(folder: Path) -> Files:
    stats = {path: path.stat() for path in folder.rglob("*") if path.is_file()}
    return {path: (stat.st_mtime_ns, stat.st_size) for path, stat in stats.items()}


def _written(before: Files, after: Files) -> list[str]:
    """A line for each folder in which files are new or other than they were."""
    fresh = {path: size for path, (_, size) in sorted(after.items()) if before.get(path) != after[path]}
    return [
        f"wrote {folder}: {', '.join(path.name for path in fresh if path.parent == folder)} "
        f"({sum(size for path, size in fresh.items() if path.parent == folder) / 1e6:.2f} MB)"
        for folder in dict.fromkeys(path.parent for path in fresh)
    ]


def log_to(path: Path | None) -> Tell:
    """What appends a line, with the time of day, to ``path``."""
    if path is None:
        return lambda line: None
    with wrap_write_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()

    def append(line: str) -> None:
        with path.open("a", encoding="utf-8") as file:
            file.write(f"{datetime.now():%Y-%m-%d %H:%M:%S} {line}\n")

    return append


def _time(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return (
        f"{hours} h {minutes} min"
        if hours
        else f"{minutes} min"
        if minutes > 9
        else f"{minutes} min {rest} s"
    )
