"""Run the stages of a build, one after another, each into its own file."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nextgpt.data.build.card import count_outcomes
from nextgpt.data.build.checks import find_problems
from nextgpt.data.build.export import export_dialogues
from nextgpt.data.build.files import lock_directory, remove_unfinished, write_atomically
from nextgpt.data.build.filters import filter_dialogues
from nextgpt.data.build.media import make_media
from nextgpt.data.build.near_duplicates import find_near_duplicates
from nextgpt.data.build.plan import plan_dialogues
from nextgpt.data.build.recipe import BuildRecipe
from nextgpt.data.build.report import write_report
from nextgpt.data.build.request_store import REQUESTS_FILE, Ledger, RequestStore
from nextgpt.data.build.review import apply_decisions
from nextgpt.data.build.row import STAGES, BuildRow, Stage, write_rows
from nextgpt.data.build.writing import write_dialogues

ProgressCallback = Callable[[str, int, int], None]
"""``(stage, done, total)``."""
RECIPE_FILE = "recipe.json"


@dataclass(frozen=True)
class BuildResult:
    """Rows after the last stage that ran."""

    rows: tuple[BuildRow, ...]
    ledger: Ledger
    written: tuple[Path, ...]
    """Files and folders, in the order of the stages."""

    def summary(self) -> dict[str, Any]:
        """Return counts for people and scripts."""
        outcomes = count_outcomes(self.rows)
        return {
            "planned": len(self.rows),
            "kept": sum(row.is_kept for row in self.rows),
            "left_out": {f"{status} in {stage}: {reason}": n for (status, stage, reason), n in outcomes.items()},
            "requests": self.ledger.answered,
            "input_tokens": self.ledger.input_tokens,
            "output_tokens": self.ledger.output_tokens,
            "price": round(self.ledger.cost, 6),
            "lost_attempts": self.ledger.lost,
            "lost_price": round(self.ledger.lost_cost, 6),
        }


def build(
    recipe: BuildRecipe, *, until: Stage | None = None, on_progress: ProgressCallback = lambda *_: None
) -> BuildResult:
    """Build the set of a recipe, or its stages up to ``until``. Finished requests and media are not repeated.

    Raises:
        ConfigError: The recipe cannot be carried out, or another process builds in the same folder.
    """
    with lock_directory(recipe.work):
        remove_unfinished(recipe.work)
        write_atomically(recipe.work / RECIPE_FILE, recipe.model_dump_json(indent=2))
        written: list[Path] = []
        rows: Sequence[BuildRow] = ()
        for stage in STAGES[: STAGES.index(until) + 1] if until else STAGES:
            rows = _run_stage(stage, rows, recipe, on_progress)
            written.append(recipe.work / f"{stage}.jsonl")
            write_rows(rows, written[-1])
        store = RequestStore(recipe.work / REQUESTS_FILE)
        ledger = store.ledger()
        store.close()
        written.append(write_report(rows, recipe, ledger))
        if until is None:
            written += export_dialogues(rows, recipe)
        return BuildResult(tuple(rows), ledger, tuple(written))


def _run_stage(
    stage: Stage, rows: Sequence[BuildRow], recipe: BuildRecipe, on_progress: ProgressCallback
) -> list[BuildRow]:
    def report(done: int, total: int) -> None:
        on_progress(stage, done, total)

    match stage:
        case "plan":
            return plan_dialogues(recipe)
        case "write":
            return write_dialogues(rows, recipe, report)
        case "check":
            return check_dialogues(rows, recipe)
        case "media":
            return make_media(rows, recipe, report)
        case "filter":
            return filter_dialogues(rows, recipe, report)
        case "review":
            return apply_decisions(rows, recipe.work)


def check_dialogues(rows: Sequence[BuildRow], recipe: BuildRecipe) -> list[BuildRow]:
    """Drop dialogues that break their plan, or repeat an earlier one."""
    checked: list[BuildRow] = []
    for row in rows:
        problems = find_problems(row.plan, row.messages, recipe.checks) if row.is_kept else []
        if problems:
            row = row.dropped("check", problems[0].reason, "; ".join(problem.detail for problem in problems))
        checked.append(row)
    kept = [index for index, row in enumerate(checked) if row.is_kept]
    texts = [checked[index].text for index in kept]
    for later, earlier, similarity in find_near_duplicates(texts, recipe.checks.max_similarity):
        detail = f"similarity {similarity:.2f} with {checked[kept[earlier]].id}"
        checked[kept[later]] = checked[kept[later]].dropped("check", "near_duplicate", detail)
    return checked
