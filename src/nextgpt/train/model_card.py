"""The model card of a training: initial model, data, losses, recipe and parameter counts."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from nextgpt.train.alignment_recipe import AlignmentRecipe
from nextgpt.train.dataset import DialogueSource
from nextgpt.train.parameter_report import ParameterCount

CARD_FILE = "README.md"
NON_LOSS_METRICS = ("step", "samples_per_s", "waiting_share")


@dataclass(frozen=True)
class ModelCard:
    """Facts known before training; losses are read from the metrics when the card is written."""

    recipe: AlignmentRecipe
    sources: Sequence[DialogueSource]
    counts: Sequence[ParameterCount]

    def write(self, folder: Path) -> None:
        """Write ``README.md`` into a model folder."""
        (folder / CARD_FILE).write_text(self.text(), encoding="utf-8")

    def text(self) -> str:
        """Return the card in Markdown."""
        recipe, metrics = self.recipe, self._last_metrics()
        trained = sum(count.trained for count in self.counts)
        total = trained + sum(count.frozen for count in self.counts)
        settings = yaml.safe_dump(
            yaml.safe_load(recipe.model_dump_json(exclude_none=True)), sort_keys=False, allow_unicode=True
        )
        sources = [(s.name, *s.summary(), f"{len(s.invalid):,}", f"{s.weight:g}") for s in self.sources]
        losses = [(name, f"{value:.4g}") for name, value in metrics.items() if name not in NON_LOSS_METRICS]
        counts = [(count.component, f"{count.trained:,}", f"{count.frozen:,}") for count in self.counts]
        return "\n".join([
            "---",
            "pipeline_tag: any-to-any",
            "tags: [nextgpt]",
            "---",
            f"# {recipe.model.name}",
            "",
            f"Trained by `nextgpt train`: {recipe.stage}, starting from `{recipe.init_from or recipe.model.name}`; "
            f"{metrics.get('step', 0)} of {recipe.fit.max_steps} steps of {recipe.fit.batch_size} "
            f"{recipe.sample_unit}s.",
            "",
            "## Data",
            "",
            *_table(("source", "format", "records", "invalid rows", "weight"), sources),
            "",
            "## Losses",
            "",
            *_table(("loss", "value"), losses),
            "",
            "## Parameters",
            "",
            f"{trained:,} of {total:,} are trained, {100 * trained / max(total, 1):.2f} %.",
            "",
            *_table(("component", "trained", "frozen"), counts),
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


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    lines = [header, ["---"] * len(header), *rows]
    return ["| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines]
