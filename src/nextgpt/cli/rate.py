"""``nextgpt rate``: ratings of evaluation runs by people."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from typer import Argument, Option, Typer, echo

from nextgpt.cli.options import Json
from nextgpt.cli.serve import is_loopback
from nextgpt.errors import ConfigError

Runs = Annotated[list[Path], Argument(metavar="RUN...", help="Folders of nextgpt eval --out DIR.")]
Ratings = Annotated[Path, Argument(metavar="RATINGS.jsonl", help="File of nextgpt rate serve.")]
Out = Annotated[Path, Option(metavar="FILE.jsonl", help="File of the study and all ratings; continued if it exists.")]
Systems = Annotated[
    list[str] | None, Option("--system", metavar="NAME", help="System to rate; repeatable, default all but controls.")
]
Mode = Annotated[
    Literal["scores", "pairs"], Option(help="One answer on scales from 1 to 10, or two answers side by side.")
]
PerRater = Annotated[int, Option(min=1, help="Maximum tasks per rater, planted ones included.")]
Seed = Annotated[int, Option(help="Seed of the orders.")]

app = Typer(name="rate", help="Let people rate the answers of runs.", no_args_is_help=True, rich_markup_mode=None)


@app.command()
def serve(
    runs: Runs,
    out: Out,
    mode: Mode = "scores",
    system: Systems = None,
    per_rater: PerRater = 40,
    seed: Seed = 0,
    rater: Annotated[
        list[str] | None,
        Option(metavar="NAME", help="Only these raters, each by the link that is printed; repeatable."),
    ] = None,
    host: Annotated[str, Option(help="Address to listen on; anything but loopback needs --rater.")] = "127.0.0.1",
    port: Annotated[int, Option(min=0, max=65535, help="0 for any free port.")] = 8010,
) -> None:
    """Serve blind rating pages; each rating is on disk before the page confirms it."""
    if not is_loopback(host) and not rater:
        raise ConfigError(f"--host {host} without --rater: anybody could rate. Add --rater NAME for each rater.")
    from nextgpt.annotation.journal import Journal
    from nextgpt.annotation.launch import launch_pages
    from nextgpt.evaluate.rating.material import create_study, open_study, read_material
    from nextgpt.evaluate.rating.server import create_rating_app
    from nextgpt.serve.settings import LOOPBACK

    material = read_material(runs, system or ())
    with Journal(out) as journal:
        open_study(journal, material, create_study(runs, material, mode=mode, seed=seed, per_rater=per_rater))
        hosts = LOOPBACK if is_loopback(host) else ("*",)
        pages, service = create_rating_app(journal, material, raters=rater or (), allowed_hosts=hosts)
        launch_pages(pages, host, port, [service.link(name) for name in rater or ()] or ["/"])


@app.command()
def export(
    runs: Runs,
    out: Out,
    folder: Annotated[Path, Option("--to", metavar="DIR", help="Folder for tasks, configurations and media.")],
    mode: Mode = "scores",
    system: Systems = None,
    per_rater: PerRater = 40,
    seed: Seed = 0,
) -> None:
    """Write tasks for Label Studio; their annotations come back with nextgpt rate import."""
    from nextgpt.annotation.journal import Journal
    from nextgpt.evaluate.rating.label_studio import export_tasks
    from nextgpt.evaluate.rating.material import create_study, open_study, read_material

    material = read_material(runs, system or ())
    with Journal(out) as journal:
        wanted = create_study(runs, material, mode=mode, seed=seed, per_rater=per_rater)
        for form, count in export_tasks(open_study(journal, material, wanted), material, folder).items():
            echo(f"wrote {folder / form}: {count} tasks")


@app.command("import")
def import_annotations(
    annotations: Annotated[Path, Argument(metavar="EXPORT.json", help="Export of a Label Studio project as JSON.")],
    out: Annotated[Path, Option(metavar="FILE.jsonl", help="File of the study, as nextgpt rate export wrote it.")],
) -> None:
    """Read annotations of Label Studio into the file of their study."""
    from nextgpt.annotation.journal import Journal
    from nextgpt.evaluate.rating.label_studio import import_annotations as read_annotations
    from nextgpt.evaluate.rating.material import material_of

    with Journal(out) as journal:
        counts = read_annotations(annotations, journal, material_of(journal))
    echo(f"{out}: {counts.added} ratings added, {counts.known} known")
    for reason, count in counts.skipped.items():
        echo(f"  {count} left out: {reason}")


@app.command()
def report(
    ratings: Ratings,
    passed_only: Annotated[bool, Option("--passed-only", help="Leave out raters whose control failed.")] = False,
    json: Json = False,
) -> None:
    """Print means with intervals, agreement, paired tests, drift, repeats and controls."""
    from nextgpt.cli.printing import print_json
    from nextgpt.evaluate.rating.report import read_report, to_dict, to_markdown

    results = read_report(ratings, passed_only=passed_only)
    if json:
        print_json(lambda: to_dict(results))
    else:
        echo(to_markdown(results))
