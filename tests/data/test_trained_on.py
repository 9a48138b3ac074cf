"""Every format reaches a training: what can be read is learned, what cannot is listed."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

from nextgpt.testing.model import write_tiny_model
from nextgpt.train.align import run
from nextgpt.train.alignment_recipe import AlignmentRecipe


@pytest.fixture(scope="module")
def initial(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_model(tmp_path_factory.mktemp("tiny"))


def test_a_corpus_with_a_corrupt_item_is_trained_on(initial: Path, written: Any, tmp_path: Path) -> None:
    recipe = AlignmentRecipe.model_validate({
        "kind": "alignment",
        "stage": "instruction-tuning",
        "init_from": str(initial),
        "model": tmp_path / "model",
        "work": tmp_path / "work",
        "fit": {"max_steps": 6, "batch_size": 4, "bf16": False, "log_steps": 1, "warmup_steps": 0},
        "data": {"corpora": {"corpus": {"path": written.path, "task": "captioning" if written.is_pairs else None}}},
        "lora": {"rank": 2, "targets": ["q_proj"]},
        "engine": {"num_workers": 0},
    })  # fmt: skip
    assert run(recipe)
    lines = [json.loads(line) for line in (recipe.work / "metrics.jsonl").read_text().splitlines()]
    assert len(lines) == 6
    assert all(math.isfinite(line["loss"]) and line["gradient_norm"] > 0 for line in lines)
    broken = [json.loads(line) for line in (recipe.work / "invalid-0.jsonl").read_text().splitlines()]
    assert broken and all(row["key"] and row["reason"] for row in broken)
