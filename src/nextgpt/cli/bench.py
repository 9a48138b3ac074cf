"""``nextgpt bench``: how fast a model is, beside a plain reference in the same run."""

from __future__ import annotations

from typing import Annotated

from typer import Argument, Option


def bench(
    model: Annotated[str, Argument(help="What nextgpt models lists.")] = "nano",
    runs: Annotated[int, Option(min=1, help="Runs a row; medians are shown.")] = 5,
    random_weights: Annotated[
        bool,
        Option("--random-weights", help="Needs no weights: the real shapes, one part in memory at a time."),
    ] = False,
    device: Annotated[str, Option(help="With --random-weights: cpu or cuda.")] = "cpu",
    json: Annotated[bool, Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Measure speed and memory of a model as ratios against a plain use of the stock libraries."""
    if random_weights:
        return _bench_random(model, device, json)
    from nextgpt.cli.printing import print_json
    from nextgpt.cli.progress import ProgressBars
    from nextgpt.logging import silence_libraries

    silence_libraries()
    from nextgpt.bench.benchmark import Results
    from nextgpt.bench.benchmark import bench as measure
    from nextgpt.bench.comparison import to_markdown

    def run() -> Results:
        with ProgressBars() as bars:
            return measure(model, runs=runs, tell=bars.update)

    if json:
        print_json(lambda: run().as_values())
    else:
        results = run()
        print(to_markdown(results.model, results.machine, results.rows), end="")


def _bench_random(model: str, device: str, json: bool) -> None:
    from nextgpt.cli.printing import print_json
    from nextgpt.cli.progress import ProgressBars
    from nextgpt.logging import silence_libraries

    silence_libraries()
    from nextgpt.bench.random_weights import TurnCost, bench_random, to_markdown
    from nextgpt.model.loading import resolve_model_dir
    from nextgpt.presets import PRESETS

    def run() -> TurnCost:
        with ProgressBars() as bars:
            return bench_random(
                model, PRESETS.get(model) or resolve_model_dir(model), device=device, tell=bars.update
            )

    if json:
        print_json(lambda: run().as_values())
    else:
        print(to_markdown(run()), end="")
