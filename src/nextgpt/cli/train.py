"""``nextgpt train``: run one recipe, or print what it would train."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from typer import Argument, Option, echo

from nextgpt.cli.options import Overrides

if TYPE_CHECKING:
    from nextgpt.train.recipe import BaseRecipe

FileStamps = dict[Path, tuple[int, int]]
"""Time of last change in ns and size in bytes, by file."""


def train(
    recipe: Annotated[Path, Argument(metavar="RECIPE.yaml", help="One of recipes/, or your own.")],
    overrides: Overrides = None,
    dry_run: Annotated[bool, Option("--dry-run", help="Only show what is trained and what stays frozen.")] = False,
    log: Annotated[Path | None, Option(metavar="FILE", help="Append progress lines to this file too.")] = None,
) -> None:
    """Run one training stage from a recipe; resume it if it was interrupted, and do nothing if it is done."""
    from nextgpt.logging import silence_libraries

    silence_libraries()
    from nextgpt.train.recipe import read_recipe

    settings = read_recipe(recipe, overrides or [])
    if dry_run:
        print_parameter_report(with_first_start(recipe, settings))
        return
    append = _line_appender(log)
    for line in run_with_progress(recipe.stem, settings, append):
        echo(line)
        append(line)


def run_with_progress(name: str, recipe: BaseRecipe, log: Callable[[str], None]) -> list[str]:
    """Run a recipe under a progress bar, ``log`` its progress, and return lines about the written files."""
    from nextgpt.cli.progress import ProgressBars, error_console
    from nextgpt.train.recipe import run_recipe

    console = error_console()
    before = _file_stamps(recipe.model)
    with ProgressBars(console, lines="updates") as bars:

        def on_metrics(metrics: dict[str, float]) -> None:
            step, speed = int(metrics["step"]), metrics["samples_per_s"]
            steps = recipe.fit.max_steps
            measured = f"loss {metrics['loss']:.4g}, {speed:.4g} {recipe.sample_unit}s/s"
            with_time = f"{measured}, {_duration((steps - step) * recipe.fit.batch_size / speed)} left"
            log(f"{name} {step}/{steps} {with_time}")
            # A bar shows the remaining time itself.
            bars.update(name, step, steps, measured if console.is_terminal else with_time)

        is_new = run_recipe(recipe, on_metrics)
    if not is_new:
        return [f"{name}: already finished with this recipe; delete {recipe.work} to train it again"]
    return _written_files(before, _file_stamps(recipe.model)) or [f"{name}: nothing new in {recipe.model}"]


def with_first_start(path: Path, recipe: BaseRecipe) -> BaseRecipe:
    """Return a recipe whose ``init_from`` exists, so that a dry run works before the earlier recipes have run.

    If the initial model is not trained yet, ``init_from`` is that of the recipe in the same folder that writes it.
    """
    from nextgpt.presets import PRESETS
    from nextgpt.train.initial_model import InitialModelRecipe
    from nextgpt.train.recipe import read_recipe

    if not isinstance(recipe, InitialModelRecipe) or recipe.init_from is None:
        return recipe
    start, earlier, seen = recipe.init_from, None, set()
    while start not in PRESETS and not Path(start).exists() and start not in seen:
        seen.add(start)
        earlier = earlier or [read_recipe(other) for other in sorted(path.parent.glob("*.yaml")) if other != path]
        writer = next((r for r in earlier if isinstance(r, InitialModelRecipe) and str(r.model) == start), None)
        if writer is None or writer.init_from is None:
            return recipe
        start = writer.init_from
    return recipe.model_copy(update={"init_from": start})


def print_parameter_report(recipe: BaseRecipe) -> None:
    """Print how many parameters of each component a recipe trains, and how many stay frozen."""
    from rich.console import Console
    from rich.table import Table

    from nextgpt.train.registry import load_recipe_kind

    rows = load_recipe_kind(recipe.kind).count_parameters(recipe)
    table = Table(box=None, pad_edge=False, show_footer=True)
    table.add_column("component", "total")
    for name in ("trained", "frozen"):
        total = sum(getattr(row, name) for row in rows)
        table.add_column(name, f"{total:,}", justify="right")
    for row in rows:
        table.add_row(row.component, f"{row.trained:,}", f"{row.frozen:,}")
    Console().print(table)


def _file_stamps(folder: Path) -> FileStamps:
    stats = {path: path.stat() for path in folder.rglob("*") if path.is_file()}
    return {path: (stat.st_mtime_ns, stat.st_size) for path, stat in stats.items()}


def _written_files(before: FileStamps, after: FileStamps) -> list[str]:
    """Return one line per folder with new or changed files."""
    changed = {path: size for path, (_, size) in sorted(after.items()) if before.get(path) != after[path]}
    return [
        f"wrote {folder}: {', '.join(path.name for path in changed if path.parent == folder)} "
        f"({sum(size for path, size in changed.items() if path.parent == folder) / 1e6:.2f} MB)"
        for folder in dict.fromkeys(path.parent for path in changed)
    ]


def _line_appender(path: Path | None) -> Callable[[str], None]:
    """Return a function that appends a line, with date and time, to ``path``."""
    if path is None:
        return lambda line: None
    from nextgpt.media.save_media import wrap_write_errors

    with wrap_write_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()

    def append(line: str) -> None:
        with path.open("a", encoding="utf-8") as file:
            file.write(f"{datetime.now():%Y-%m-%d %H:%M:%S} {line}\n")

    return append


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min" if minutes > 9 else f"{minutes} min {rest} s"
