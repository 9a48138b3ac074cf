"""``nextgpt eval``: evaluation tables."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from typer import Option

from nextgpt.cli.options import Json, Model
from nextgpt.errors import ConfigError, unknown_name_message

if TYPE_CHECKING:
    import nextgpt.evaluate.miniworld.suite

DEFAULT_LIMIT = 200
"""Cases per row of the small world's suites."""


def evaluate(
    model: Model = "nano",
    suite: Annotated[str, Option(metavar="NAME", help="The suite; docs/evaluation.md lists them.")] = "miniworld",
    data: Annotated[
        Path | None, Option(metavar="DIR", help="Corpus of a suite of standard tasks, with its annotations.")
    ] = None,
    against: Annotated[
        list[str] | None,
        Option(metavar="SYSTEM", help="Also cascade, true-caption, pipeline:URL or openai:URL. May be repeated."),
    ] = None,
    metric: Annotated[
        list[str] | None, Option(metavar="NAME", help="A metric in place of the suite's own. May be repeated.")
    ] = None,
    extractor: Annotated[
        list[str] | None, Option(metavar="NAME[=PATH]", help="Extractor of features. May be repeated.")
    ] = None,
    limit: Annotated[
        int | None, Option(min=1, max=100_000, help="Cases per row or items per suite; 200, all-small 40 if omitted.")
    ] = None,
    seed: Annotated[int, Option(min=0, help="Seed of the cases.")] = 0,
    workers: Annotated[int | None, Option(min=1, help="Worker processes; one per core if omitted.")] = None,
    steps: Annotated[int | None, Option(min=1, max=1000, help="Denoising steps; the model's own if omitted.")] = None,
    out: Annotated[Path | None, Option(metavar="DIR", help="Write tables, values and samples here.")] = None,
    json: Json = False,
) -> None:
    """Measure a model, with 95 % intervals: suites of the small world, or of standard tasks on a corpus.

    A run of standard tasks with --out continues where it was interrupted.
    """
    from nextgpt.cli.printing import print_json
    from nextgpt.evaluate.miniworld.report import to_dict, to_markdown
    from nextgpt.evaluate.miniworld.suite import SUITES
    from nextgpt.evaluate.standard.protocols import ALL_SMALL, PROTOCOLS

    if suite not in (known := (*SUITES, *PROTOCOLS, ALL_SMALL)):
        raise ConfigError(unknown_name_message("suite", suite, known))
    if suite in (*PROTOCOLS, ALL_SMALL):
        _measure_standard(
            json,
            suite,
            model,
            data=data,
            systems=against or (),
            metrics=metric or (),
            extractors=extractor or (),
            limit=limit,
            seed=seed,
            steps=steps,
            out=out,
        )
        return
    options = (("--data", data), ("--against", against), ("--metric", metric), ("--extractor", extractor))
    if unused := [name for name, value in options if value]:
        raise ConfigError(f"suite {suite} takes no {unused[0]}; expected one of {', '.join(PROTOCOLS)} with it.")

    def measure() -> nextgpt.evaluate.miniworld.suite.Results:
        return _measure(model, suite, out, limit=limit or DEFAULT_LIMIT, seed=seed, workers=workers, steps=steps)

    if json:
        print_json(lambda: to_dict(measure()))
    else:
        print(to_markdown(measure()))


def _measure_standard(json: bool, suite: str, model: str, **options: Any) -> None:
    from nextgpt.cli.printing import print_json
    from nextgpt.cli.standard_suites import report, run

    if json:
        print_json(lambda: run(suite, model, **options))
    else:
        print(report(run(suite, model, **options)))


def _measure(
    model: str, suite: str, out: Path | None, *, limit: int, seed: int, workers: int | None, steps: int | None
) -> nextgpt.evaluate.miniworld.suite.Results:
    from nextgpt.cli.progress import ProgressBars, error_console
    from nextgpt.evaluate.miniworld import report
    from nextgpt.evaluate.miniworld import suite as suites
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
