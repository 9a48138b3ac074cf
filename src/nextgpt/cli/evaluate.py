"""``nextgpt eval``: evaluation tables."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from typer import Option

from nextgpt.cli.options import Json, Model

if TYPE_CHECKING:
    import nextgpt.evaluate.suite


def evaluate(
    model: Model = "nano",
    suite: Annotated[str, Option(metavar="NAME", help="The suite.")] = "miniworld",
    limit: Annotated[int, Option(min=1, max=100_000, help="Cases per row.")] = 200,
    seed: Annotated[int, Option(min=0, help="Seed of the cases.")] = 0,
    workers: Annotated[int | None, Option(min=1, help="Worker processes; one per core if omitted.")] = None,
    steps: Annotated[int | None, Option(min=1, max=1000, help="Denoising steps; the model's own if omitted.")] = None,
    out: Annotated[Path | None, Option(metavar="DIR", help="Write tables, values and samples here.")] = None,
    json: Json = False,
) -> None:
    """Measure a model: shares of cases that come out right, with 95 % intervals and the judge's own accuracy."""
    from nextgpt.cli.printing import print_json
    from nextgpt.evaluate.report import to_dict, to_markdown

    def measure() -> nextgpt.evaluate.suite.Results:
        return _measure(model, suite, out, limit=limit, seed=seed, workers=workers, steps=steps)

    if json:
        print_json(lambda: to_dict(measure()))
    else:
        print(to_markdown(measure()))


def _measure(
    model: str, suite: str, out: Path | None, *, limit: int, seed: int, workers: int | None, steps: int | None
) -> nextgpt.evaluate.suite.Results:
    from nextgpt.cli.progress import ProgressBars, error_console
    from nextgpt.evaluate import report
    from nextgpt.evaluate import suite as suites
    from nextgpt.logging import silence_libraries
    from nextgpt.media.save_media import wrap_write_errors

    silence_libraries()
    if out is not None:
        with wrap_write_errors(out):  # fail before the work if the folder is not writable
            out.mkdir(parents=True, exist_ok=True)
    workers = workers or suites.default_num_workers(limit)
    with ProgressBars() as bars:
        results = suites.evaluate(
            model,
            suite,
            limit=limit,
            seed=seed,
            num_workers=workers,
            on_progress=bars.update,
            num_inference_steps=steps,
        )
    if out is not None:
        for path in report.write_report(results, out):
            error_console().print(f"Written: {path}")
    return results
