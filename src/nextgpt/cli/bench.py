"""``nextgpt bench``: how fast a model is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from typer import Argument, Option

if TYPE_CHECKING:
    import nextgpt.bench.suite


def bench(
    model: Annotated[str, Argument(help="What nextgpt models lists.")] = "nano",
    runs: Annotated[int, Option(min=1, max=1000, help="Runs of which a row takes the median.")] = 5,
    json: Annotated[bool, Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Measure speed and memory beside a plain reference in the same run; a ratio above 1 is better than it."""
    from nextgpt.cli.output import print_json

    if json:
        print_json(lambda: _measure(model, runs).as_values())
    else:
        _show(_measure(model, runs))


def _measure(model: str, runs: int) -> nextgpt.bench.suite.Results:
    from nextgpt.bench import suite
    from nextgpt.cli.loading import keep_libraries_quiet
    from nextgpt.cli.progress import Task, error_console

    keep_libraries_quiet()
    with Task(error_console()) as task:
        return suite.bench(model, runs=runs, tell=task.tell)


def _show(results: nextgpt.bench.suite.Results) -> None:
    from rich.table import Table

    from nextgpt.cli.output import print_table

    table = Table(box=None, pad_edge=False)
    table.add_column(results.model)
    for name in ("value", "reference", "ratio"):
        table.add_column(name, justify="right")
    table.add_column("unit")
    for row in results.rows:
        table.add_row(row.name, f"{row.value:.4g}", f"{row.reference:.4g}", f"{row.ratio:.1f}", row.unit)
    print_table(table)
    print(results.machine)
