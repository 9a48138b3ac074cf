"""``nextgpt runs``: what is made of finished evaluation runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from typer import Argument, Option, Typer, echo

app = Typer(
    name="runs", help="Show and export finished runs of nextgpt eval.", no_args_is_help=True, rich_markup_mode=None
)


@app.command()
def page(
    runs: Annotated[list[Path], Argument(metavar="RUN...", help="Runs, or folders of runs; several become curves.")],
    out: Annotated[Path, Option(metavar="DIR", help="Folder for index.html and its media.")],
    samples: Annotated[int, Option(min=0, help="Best and worst answers per run.")] = 6,
) -> None:
    """Write an HTML page: intervals drawn, curves over checkpoints, right and wrong answers."""
    from nextgpt.evaluate.run_page import write_page

    echo(write_page(runs, out, samples=samples))


@app.command()
def export(
    run: Annotated[Path, Argument(metavar="RUN", help="Folder of nextgpt eval --out DIR.")],
    out: Annotated[Path, Option(metavar="DIR", help="New folder for the layout; must not exist.")],
    layout: Annotated[str, Option(metavar="NAME", help="geneval, vbench or audioldm_eval.")],
    system: Annotated[str, Option(metavar="NAME", help="System whose answers are exported.")] = "direct",
    geneval_prompts: Annotated[
        Path | None, Option(metavar="FILE.jsonl", help="GenEval's own metadata; for geneval only.")
    ] = None,
) -> None:
    """Copy the media of a run into the folders that published scorers read."""
    from nextgpt.evaluate.standard.exports import export_run

    result = export_run(run, system, layout, out, geneval_prompts=geneval_prompts)
    echo(f"wrote {out}: {result.num_media} media of {system}")
    for reason, count in result.left_out.items():
        echo(f"  {count} left out: {reason}")
