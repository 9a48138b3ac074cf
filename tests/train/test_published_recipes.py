"""Recipes on corpora that are too large for a test: each runs two steps on a tiny model and a tiny corpus."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from nextgpt import NextGPT
from nextgpt.cli.train import train as train_command
from nextgpt.train.alignment_recipe import AlignmentRecipe
from nextgpt.train.recipe import read_recipe, run_recipe

RECIPES = Path(__file__).parents[2] / "recipes"
LARGE = sorted(path for name in ("paper", "paper-v2", "open") for path in (RECIPES / name).glob("*.yaml"))
STAGES = ("1-encoding-alignment", "2-decoding-alignment", "3-instruction-tuning")
PER_PROCESS = {"encoding-alignment": 18, "decoding-alignment": 8, "instruction-tuning": 4}
RATES = {"encoding-alignment": 4e-4, "decoding-alignment": 4e-4, "instruction-tuning": 5e-4}


def name_of(path: Path) -> str:
    return f"{path.parent.name}/{path.stem}"


@pytest.mark.parametrize("path", LARGE, ids=name_of)
def test_a_recipe_runs_two_steps_in_tiny_form(path: Path, initial: Path, corpora: Path, tmp_path: Path) -> None:
    sources = {name: {"path": str(corpora / f"{name}.json")} for name in ("image", "llava")}
    settings = {
        "init_from": str(initial), "model": str(tmp_path / "model"), "work": str(tmp_path / "work"), "cache": None,
        "data": {"corpora": sources}, "engine.num_workers": 0,
        "fit.max_steps": 2, "fit.batch_size": 4, "fit.log_steps": 1,
    }  # fmt: skip
    recipe = read_recipe(path, [f"{key}={json.dumps(value)}" for key, value in settings.items()])
    assert isinstance(recipe, AlignmentRecipe)
    if "int4" in recipe.dtypes.values():
        pytest.importorskip("bitsandbytes", reason="needs bitsandbytes: pip install -e '.[quantized]'")
    assert run_recipe(recipe)
    losses = [json.loads(line)["loss"] for line in (recipe.work / "metrics.jsonl").read_text().splitlines()]
    assert len(losses) == 2
    assert NextGPT.from_pretrained(recipe.model).config.name == "tiny"


@pytest.mark.parametrize("path", [path for path in LARGE if path.parent.name != "paper-v2"], ids=name_of)
def test_hyper_parameters_are_the_published_ones(path: Path) -> None:
    recipe = read_recipe(path)
    assert isinstance(recipe, AlignmentRecipe)
    fit = recipe.fit
    assert (fit.learning_rate, fit.weight_decay) == (RATES[recipe.stage], 1e-3)
    assert fit.warmup_steps == pytest.approx(0.1 * fit.max_steps)
    assert fit.batch_size % PER_PROCESS[recipe.stage] == 0
    assert (recipe.max_tokens, fit.muon_learning_rate) == (512, None)
    assert recipe.batch_mixing == "one_source_per_batch"


def test_hyper_parameters_of_2024_are_those_of_its_scripts() -> None:
    """Numbers of pretrain_enc.sh, pretrain_dec.sh and finetune.sh: rate, batch over all GPUs, rate of projections."""
    scripts = {STAGES[0]: (1e-3, 4 * 2, None), STAGES[1]: (2e-4, 2, None), STAGES[2]: (2e-4, 56, 2e-5)}
    for name, (rate, batch_size, projection_rate) in scripts.items():
        recipe = read_recipe(RECIPES / "paper-v2" / f"{name}.yaml")
        assert isinstance(recipe, AlignmentRecipe)
        fit = recipe.fit
        assert (fit.learning_rate, fit.batch_size, fit.weight_decay) == (rate, batch_size, 0)
        assert (fit.lr_scheduler_type, fit.min_lr_ratio, fit.bf16) == ("cosine", 0, True)
        assert fit.warmup_steps == pytest.approx(0.03 * fit.max_steps, rel=0.01)
        factors = {module: factor * rate for module, factor in fit.lr_multipliers.items()}
        expected = dict.fromkeys(("input_projection", "output_projections"), projection_rate) if projection_rate else {}
        assert factors == pytest.approx(expected)
    assert (recipe.lora.rank, recipe.lora.alpha, recipe.lora.dropout, len(recipe.lora.targets)) == (128, 256, 0.05, 7)


@pytest.mark.parametrize(
    ("name", "trained"),
    [
        ("paper/1-encoding-alignment", 4_198_400),
        ("paper/2-decoding-alignment", 31_958_784 + 31_788_544 + 32_090_112 + 303_104),
        ("paper/3-instruction-tuning", 133_590_272 + 303_104),
        ("paper-v2/1-encoding-alignment", 53_144_912),
    ],
)
def test_a_dry_run_needs_no_weights(
    name: str, trained: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The numbers are the parameter table of docs/paper-size.md; 303,104 are the rows of 37 tokens, in and out."""
    monkeypatch.setenv("NEXTGPT_HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    train_command(RECIPES / f"{name}.yaml", dry_run=True)
    total = capsys.readouterr().out.splitlines()[-1].split()
    assert total[:2] == ["total", f"{trained:,}"]


@pytest.mark.parametrize("name", ["paper", "paper-v2", "open"])
def test_each_stage_begins_with_what_the_one_before_wrote(name: str) -> None:
    first, second, third = (read_recipe(RECIPES / name / f"{stage}.yaml") for stage in STAGES)
    assert (first.init_from, first.reset_trained) == (name, True)
    assert [second.init_from, third.init_from] == [str(first.model), str(second.model)]
    assert not second.reset_trained and not third.reset_trained
