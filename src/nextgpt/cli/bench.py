"""``nextgpt bench``: speed and memory of a model, compared with a plain reference in the same run."""

from __future__ import annotations

from typing import Annotated

from typer import Option

from nextgpt.cli.options import Json, Model


def bench(
    model: Model = "nano",
    runs: Annotated[int, Option(min=1, help="Runs per row; medians are shown.")] = 5,
    row: Annotated[
        list[str] | None, Option(metavar="NAME", help="A row such as token, in place of all. May be repeated.")
    ] = None,
    json: Json = False,
) -> None:
    """Measure speed and memory of a model as ratios against a plain use of the stock libraries."""
    from nextgpt.cli.printing import print_json
    from nextgpt.cli.progress import ProgressBars
    from nextgpt.logging import silence_libraries

    silence_libraries()
    from nextgpt.bench.benchmark import Results
    from nextgpt.bench.benchmark import bench as measure
    from nextgpt.bench.comparison import to_markdown

    def run() -> Results:
        with ProgressBars() as bars:
            return measure(model, runs=runs, row_names=row or (), on_progress=bars.update)

    if json:
        print_json(lambda: run().to_dict())
    else:
        results = run()
        print(to_markdown(results.model, results.machine, results.rows), end="")
