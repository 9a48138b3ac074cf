"""The whole loop in its smallest form: a built set is validated and tunes nano."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from tests.data.build.conftest import with_tiny_media, write

from nextgpt.data.build.export import export_dialogues
from nextgpt.data.build.filters import filter_dialogues
from nextgpt.data.build.plan import plan_dialogues
from nextgpt.data.build.recipe import BuildRecipe
from nextgpt.data.corpus import read_corpus
from nextgpt.data.validation import validate
from nextgpt.train.recipe import read_recipe, run_recipe


@pytest.mark.slow
def test_a_built_set_tunes_nano(make_recipe: Callable[..., BuildRecipe], tmp_path: Path) -> None:
    recipe = make_recipe(dialogues=4, turns=(3, 3), media={"mode": "synthesize"}, filters={"licences": ["MIT"]})
    rows = with_tiny_media(write(plan_dialogues(recipe), recipe), recipe.work)
    export_dialogues(filter_dialogues(rows, recipe, lambda done, total: None), recipe)
    corpus = recipe.work / "export" / "messages" / "data.jsonl"
    report = validate(read_corpus(corpus), workers=1)
    assert report.records == 4 and not report.invalid
    training = {
        "kind": "alignment",
        "stage": "instruction-tuning",
        "init_from": "nano",
        "model": str(tmp_path / "tuned"),
        "work": str(tmp_path / "tuned-work"),
        "data": {"corpora": {"built": {"path": str(corpus)}}},
        "fit": {"max_steps": 2, "batch_size": 2, "learning_rate": 1.0e-4},
    }
    (tmp_path / "train.yaml").write_text(yaml.safe_dump(training))
    assert run_recipe(read_recipe(tmp_path / "train.yaml"))
    assert (tmp_path / "tuned" / "nextgpt.safetensors").is_file()
    losses = [json.loads(line) for line in (tmp_path / "tuned-work" / "metrics.jsonl").read_text().splitlines()]
    assert losses and all(value == value for row in losses for value in row.values() if isinstance(value, float))
