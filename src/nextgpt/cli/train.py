"""``nextgpt train``: run one recipe, or tell what it would train."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from typer import Argument, Option, echo


def train(
    recipe: Annotated[Path, Argument(metavar="RECIPE.yaml", help="One of recipes/, or your own.")],
    overrides: Annotated[
        list[str] | None, Argument(metavar="[KEY.SUB=VALUE]...", help="Other settings.")
    ] = None,
    dry_run: Annotated[
        bool, Option("--dry-run", help="Only show what is trained and what stays frozen.")
    ] = False,
    log: Annotated[Path | None, Option(metavar="FILE", help="Append what is told to this file too.")] = None,
) -> None:
    """Train one part or stage as a recipe says; goes on where it broke off, and does nothing where it is done."""
    from nextgpt.cli.loading import keep_libraries_quiet

    keep_libraries_quiet()
    from nextgpt.cli.training import log_to, run, show
    from nextgpt.train.recipe import read_recipe

    settings = read_recipe(recipe, overrides or [])
    if dry_run:
        show(settings)
        return
    tell = log_to(log)
    for line in run(recipe.stem, settings, tell):
        echo(line)
        tell(line)
