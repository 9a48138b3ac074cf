"""The recipes of small in smoke form: each runs, is skipped when it is done, and trains what it should."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from nextgpt import NextGPT, Sampling
from nextgpt.config import read_config
from nextgpt.model.model_dir import WEIGHTS_FILE
from nextgpt.train.recipe import BaseRecipe, read_recipe, run_recipe

ROOT = Path(__file__).parents[2]
SMALL = ROOT / "recipes" / "small"
SMOKE = sorted((SMALL / "smoke").glob("*.yaml"))

pytestmark = pytest.mark.slow


@dataclass(frozen=True)
class Run:
    """The results of the smoke recipes, run in order."""

    model: Path
    weights: list[dict[str, torch.Tensor]] = field(default_factory=list)
    """Trained weights after each recipe."""
    losses: list[list[float]] = field(default_factory=list)


def moved(path: Path, home: Path) -> BaseRecipe:
    settings = [f"model={home / 'small'}", f"work={home / 'work' / path.stem}"]
    if path.stem == "01-attribute-pretraining":
        settings.append(f"init_from={ROOT / 'src/nextgpt/weights/nano'}")
    if path.stem.endswith("instruction-tuning"):
        settings.append(f"data.general.prompts={SMALL / 'smoke' / 'general-prompts.txt'}")
    return read_recipe(path, settings)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    home = tmp_path_factory.mktemp("small")
    done = Run(home / "small")
    for path in SMOKE:
        recipe = moved(path, home)
        assert run_recipe(recipe), path.stem
        assert not run_recipe(recipe), f"{path.stem} ran twice"
        metrics = (recipe.work / "metrics.jsonl").read_text().splitlines()
        done.losses.append([json.loads(line)["loss"] for line in metrics])
        done.weights.append(load_file(done.model / WEIGHTS_FILE))
    return done


def changed(before: dict[str, torch.Tensor], after: dict[str, torch.Tensor]) -> set[str]:
    # Weights are saved in bfloat16, so what is not trained may still be rounded.
    is_equal = {name: torch.equal(before[name].bfloat16(), after[name].bfloat16()) for name in before}
    return {name.partition(".")[0] for name, equal in is_equal.items() if not equal}


def test_each_recipe_trains_its_modules(run: Run) -> None:
    pretrained, started, tuned, projected, continued, again, *later = run.weights
    assert changed(pretrained, started) == {"output_projections"}
    assert changed(started, tuned) == {"signals", "output_projections"}
    assert torch.equal(pretrained["signals.input"].bfloat16(), tuned["signals.input"].bfloat16())
    blocks = {int(name.split(".")[3]) for name in tuned if name.startswith("lora.")}
    assert blocks and min(blocks) == 1
    assert changed(tuned, projected) == {"output_projections"}
    assert "lora" in changed(projected, continued) and "input_projection" not in changed(projected, continued)
    assert changed(continued, again) == {"output_projections"}
    assert later
    before = again
    for joint, adapted in zip(later[::2], later[1::2], strict=True):
        assert {"lora", "input_projection"} <= changed(before, joint)
        assert changed(joint, adapted) == {"output_projections"}
        before = adapted


def test_output_projections_that_start_from_those_of_nano_are_near_their_targets(run: Run) -> None:
    assert run.losses[1][0] < 0.5, "the sum of three mean squared errors; fresh projections have more than 3"


def test_the_loss_on_cached_states_falls(run: Run) -> None:
    losses = run.losses[-1]
    assert len(losses) == 20 and sum(losses[-5:]) < 0.9 * sum(losses[:5])


def test_the_result_replies(run: Run) -> None:
    assert read_config(run.model).llm.lora.first_layer == 1
    reply = NextGPT.from_pretrained(run.model).chat("Hello", Sampling(max_tokens=4, modalities=("text",)))
    assert reply.parts is not None


@pytest.mark.parametrize("path", sorted(SMALL.glob("*.yaml")), ids=lambda path: path.stem)
def test_the_full_recipes_are_valid(path: Path) -> None:
    assert read_recipe(path).model == Path("out/small")
