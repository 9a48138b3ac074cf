"""``nextgpt data build``: dialogues for training, written by an LLM, with media."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

from typer import Argument, Option, echo

from nextgpt.cli.options import Json, Overrides


def build(
    recipe: Annotated[Path, Argument(metavar="RECIPE.yaml", help="What to build. Examples are in recipes/data/.")],
    overrides: Overrides = None,
    dry_run: Annotated[bool, Option("--dry-run", help="Print the plan with tokens and price; send nothing.")] = False,
    budget: Annotated[float | None, Option(min=0, help="Maximum price of all requests, earlier runs included.")] = None,
    until: Annotated[
        str | None, Option(metavar="STAGE", help="Stop after plan, write, check, media, filter or review.")
    ] = None,
    json: Json = False,
) -> None:
    """Write dialogues with an LLM, give them media, check, filter and export them.

    A second run continues an interrupted build and repeats no finished request.
    """
    from nextgpt.cli.printing import print_json
    from nextgpt.cli.progress import ProgressBars
    from nextgpt.data.build.estimate import estimate_build
    from nextgpt.data.build.pipeline import build as run
    from nextgpt.data.build.plan import plan_dialogues
    from nextgpt.data.build.recipe import read_build_recipe
    from nextgpt.data.build.row import STAGES
    from nextgpt.errors import ConfigError, unknown_name_message
    from nextgpt.logging import silence_libraries

    silence_libraries()
    settings = read_build_recipe(recipe, overrides or [])
    if budget is not None:
        settings = settings.model_copy(update={"budget": budget})
    if until is not None and until not in STAGES:
        raise ConfigError(unknown_name_message("stage", until, STAGES))
    if dry_run:
        estimate = asdict(estimate_build(plan_dialogues(settings), settings))
        _print_dict(estimate) if not json else print_json(lambda: estimate)
        return
    with ProgressBars() as bars:
        result = run(settings, until=until, on_progress=bars.update)  # type: ignore[arg-type]
    summary = result.summary()
    if json:
        print_json(lambda: summary)
        return
    _print_dict(summary)
    for path in result.written:
        echo(f"wrote {path}")


def _print_dict(values: dict) -> None:
    for name, value in values.items():
        shown = ", ".join(f"{key} {number}" for key, number in value.items()) if isinstance(value, dict) else value
        echo(f"{name:<16}{shown if shown != '' else 'none'}")
