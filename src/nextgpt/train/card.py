"""The model card of a training: what it began with, data, losses, recipe, and the share of what is trained."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from nextgpt.train.corpora import Source
from nextgpt.train.outline import Share
from nextgpt.train.recipe import CorporaRecipe

CARD_FILE = "README.md"
NO_LOSSES = ("step", "samples_per_s", "waiting_share")
"""Numbers of a line of metrics that say nothing of what was learned."""


@dataclass(frozen=True)
class Card:
    """What is known before training; losses are read off the metrics when the card is written."""

    recipe: CorporaRecipe
    sources: Sequence[Source]
    shares: Sequence[Share]

    def write(self, folder: Path) -> None:
        """Write ``README.md`` into a model folder."""
        (folder / CARD_FILE).write_text(self.text(), encoding="utf-8")

    def text(self) -> str:
        """The card in Markdown."""
        recipe, last = self.recipe, self._last_metrics()
        trained = sum(share.trained for share in self.shares)
        whole = trained + sum(share.frozen for share in self.shares)
        settings = yaml.safe_dump(
            yaml.safe_load(recipe.model_dump_json(exclude_none=True)), sort_keys=False, allow_unicode=True
        )
        return "\n".join([
            "---",
            "pipeline_tag: any-to-any",
            "tags: [nextgpt]",
            "---",
            f"# {recipe.model.name}",
            "",
            f"Trained by `nextgpt train`: {recipe.stage}, beginning with `{recipe.initial}`; after "
            f"{last.get('step', 0)} of {recipe.fit.max_steps} steps of {recipe.fit.batch_size} {recipe.sample}s.",
            "",
            "## Data",
            "",
            *_table(("source", "format", "records", "rows that cannot be read", "weight"), [
                (s.name, s.corpus.format, f"{len(s.corpus.records):,}", f"{len(s.corpus.invalid):,}", f"{s.weight:g}")
                for s in self.sources
            ]),
            "",
            "## Losses",
            "",
            *_table(("loss", "value"), [
                (name, f"{value:.4g}") for name, value in last.items() if name not in NO_LOSSES
            ]),
            "",
            "## Parameters",
            "",
            f"{trained:,} of {whole:,} are trained, {100 * trained / max(whole, 1):.2f} %.",
            "",
            *_table(("part", "trained", "frozen"), [
                (share.part, f"{share.trained:,}", f"{share.frozen:,}") for share in self.shares
            ]),
            "",
            "## Recipe",
            "",
            "```yaml",
            settings.rstrip(),
            "```",
            "",
        ])  # fmt: skip

    def _last_metrics(self) -> dict[str, Any]:
        path = self.recipe.work / "metrics.jsonl"
        lines = path.read_text().splitlines() if path.is_file() else []
        return json.loads(lines[-1]) if lines else {}


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    lines = [head, ["---"] * len(head), *rows]
    return ["| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines]
