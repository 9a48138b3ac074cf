"""``nextgpt train``: run one recipe."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from typer import Argument


def train(
    recipe: Annotated[Path, Argument(metavar="RECIPE.yaml", help="One of recipes/, or your own.")],
    overrides: Annotated[list[str] | None, Argument(metavar="[KEY.SUB=VALUE]...", help="Other settings.")] = None,
) -> None:
    """Train one part or stage as a recipe says; goes on where it broke off, and does nothing where it is done."""
    from nextgpt.cli.loading import keep_libraries_quiet
    from nextgpt.cli.progress import Task, error_console
    from nextgpt.train.recipe import read_recipe, run_recipe

    keep_libraries_quiet()
    settings = read_recipe(recipe, overrides or [])
    console = error_console()
    with Task(console) as task:

        def report(metrics: dict[str, float]) -> None:
            measured = " ".join(f"{name} {value:.4g}" for name, value in metrics.items() if name != "step")
            task.tell(recipe.stem, int(metrics["step"]), settings.fit.steps, measured)

        is_new = run_recipe(settings, report)
    console.print(f"{recipe.stem}: {'written to' if is_new else 'done before, stands in'} {settings.model}")
