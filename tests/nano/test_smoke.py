"""Every part and every stage of nano in tiny form, in order: each loss falls, and the result answers."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean

import pytest
import torch
from safetensors.torch import load_file

from nextgpt import NextGPT, Sampling
from nextgpt.train.align import make_sampler
from nextgpt.train.alignment_recipe import AlignmentRecipe
from nextgpt.train.checkpoint import CheckpointManager
from nextgpt.train.dataset import LocalBatch
from nextgpt.train.frozen_encoders import FrozenEncoders, attach_encoder_outputs
from nextgpt.train.initial_model import load_initial_model
from nextgpt.train.objective import AlignmentObjective
from nextgpt.train.recipe import BaseRecipe, read_recipe, run_recipe

SMOKE = sorted((Path(__file__).parents[2] / "recipes" / "nano" / "smoke").glob("*.yaml"))
STAGES = ("5-encoding-alignment", "6-decoding-alignment", "7-instruction-tuning")
FROZEN = ("encoder", "llm", "image", "audio", "video")
"""Folders that no stage may touch."""

pytestmark = pytest.mark.slow


@dataclass(frozen=True)
class Run:
    """All smoke recipes, run in order."""

    model: Path
    losses: dict[str, list[float]] = field(default_factory=dict)
    """By recipe, as they were logged."""
    digests: dict[str, dict[str, str]] = field(default_factory=dict)
    """Of the files of the frozen parts, after each recipe."""


@pytest.fixture(scope="session")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Run the recipes once for all tests."""
    home = tmp_path_factory.mktemp("smoke")
    done = Run(home / "nano")
    for path in SMOKE:
        recipe = moved(path, home)
        assert run_recipe(recipe), f"{path.stem} was not run"
        metrics = (recipe.work / "metrics.jsonl").read_text().splitlines()
        done.losses[path.stem] = [json.loads(line)["loss"] for line in metrics]
        done.digests[path.stem] = digests(done.model)
    return done


def moved(path: Path, home: Path) -> BaseRecipe:
    work = home / "nano-work" / path.stem.partition("-")[2]
    return read_recipe(path, [f"model={home / 'nano'}", f"work={work}"])


def digests(model: Path) -> dict[str, str]:
    files = [path for part in FROZEN for path in sorted((model / part).rglob("*")) if path.is_file()]
    return {str(path.relative_to(model)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.mark.parametrize(
    "name", [path.stem for path in SMOKE if path.stem not in (STAGES[0], "5-attribute-pretraining")]
)
def test_each_loss_falls(name: str, run: Run) -> None:
    losses = run.losses[name]
    assert len(losses) >= 10
    # Single batches differ; three of them differ less.
    assert fmean(losses[-3:]) < fmean(losses[:3]), losses


def test_the_first_stage_lowers_the_loss_of_dialogues_that_it_never_saw(run: Run) -> None:
    """It falls by less than batches differ, as a tiny LLM hardly listens; so the same batches are judged twice."""
    recipe = moved(next(path for path in SMOKE if path.stem == STAGES[0]), run.model.parent)
    assert isinstance(recipe, AlignmentRecipe)
    model = load_initial_model(recipe)
    sampler = make_sampler(recipe, model)
    objective = AlignmentObjective(model, recipe.resolved_stage)
    encoders = FrozenEncoders.of(model, recipe.model_dir, recipe.resolved_stage)
    batches = list(attach_encoder_outputs((sampler.local_batch(1000 + step) for step in range(3)), encoders))
    # The folder holds the result of the last stage; the weights before the first one are in its checkpoints.
    pretrained = latest(run.model.parent / "nano-work" / "attribute-pretraining")
    model.load_state_dict(load_file(pretrained / "trained.safetensors"), strict=False)
    before = mean_loss(objective, batches)
    state = load_file(latest(recipe.work) / "trained.safetensors")
    assert set(state) == {f"model.{name}" for name in model.state_dict() if name.startswith("input_projection.")}
    model.load_state_dict({name.removeprefix("model."): value for name, value in state.items()}, strict=False)
    assert mean_loss(objective, batches) < before


def latest(work: Path) -> Path:
    folder = CheckpointManager(work / "checkpoints", save_total_limit=2).latest
    assert folder is not None
    return folder


@torch.no_grad()
def mean_loss(objective: AlignmentObjective, batches: list[LocalBatch]) -> float:
    return fmean(float(objective(batch)["cross_entropy"]) for batch in batches)


@pytest.mark.parametrize("modality", ["audio", "video"])
def test_a_refinement_holds_the_text_encoder_and_changes_the_denoiser(modality: str, run: Run) -> None:
    before, after = run.digests[f"2-{modality}-diffusion"], run.digests[f"2-{modality}-refinement"]
    assert {name for name in before if name.startswith(modality) and before[name] != after[name]} == {
        f"{modality}/transformer/diffusion_pytorch_model.safetensors",
        f"{modality}/tokenizer/tokenizer_config.json",  # tells how it was loaded; its words are the same
        f"{modality}/negative_condition.safetensors",  # made before the text encoder was rounded
    }


def test_the_language_model_is_refined_from_the_one_that_stands_and_keeps_its_tokenizer(run: Run) -> None:
    before, after = run.digests["3-language-model"], run.digests["3-refined-language-model"]
    assert {name for name in before if before[name] != after[name]} == {"llm/model.safetensors"}


def test_the_encoder_is_refined_from_the_one_that_stands(run: Run) -> None:
    before, after = run.digests["4-encoder"], run.digests["4-refined-encoder"]
    assert {name for name in before if before[name] != after[name]} == {"encoder/model.safetensors"}


def test_the_stages_leave_the_files_of_the_frozen_parts_as_they_are(run: Run) -> None:
    before, named = run.digests["4-refined-encoder"], run.digests[STAGES[0]]
    assert len(before) > 20
    # AttributeEmbeddings are learned before the first stage, by the encoder as well.
    assert {name for name in before if before[name] != named[name]} == {"encoder/model.safetensors"}
    for stage in STAGES[1:]:
        assert run.digests[stage] == named, stage


def test_every_recipe_is_done_the_second_time(run: Run) -> None:
    for path in SMOKE:
        assert not run_recipe(moved(path, run.model.parent)), path.stem


def test_the_script_of_the_whole_life_ends_in_an_evaluation(run: Run, tmp_path: Path) -> None:
    """It finds the trainings done that this file ran; of all, it is shown the last."""
    home, root = run.model.parent, Path(__file__).parents[2]
    (tmp_path / SMOKE[-1].name).write_text(f"base: {SMOKE[-1]}\n")
    command = [root / "runs" / "nano.sh", str(tmp_path), str(home), "1"]
    surroundings = os.environ | {"NEXTGPT": f"{sys.executable} -m nextgpt"}
    done = subprocess.run(command, env=surroundings, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.count("already finished with this recipe") == 1
    assert json.loads(next(line for line in done.stdout.splitlines() if line.startswith("{")))["parts"]
    assert "text_to_image.object" in done.stdout and list((home / "nano-eval").iterdir())


def test_the_result_loads_and_answers_with_text(run: Run) -> None:
    model = NextGPT.from_pretrained(run.model)
    assert model.modalities == ("text", "image", "audio", "video")
    reply = model.chat("Hello, what can you do?", Sampling(max_tokens=12, modalities=("text",)))
    assert reply.text.strip()


def test_the_result_makes_a_medium_of_every_modality(run: Run) -> None:
    model = NextGPT.from_pretrained(run.model)
    for modality in ("image", "audio", "video"):
        condition = model.output_projections[modality].query_embs  # any condition of the right shape serves
        synthesizer = model.synthesizer(modality)
        shape = (1, *synthesizer.condition_shape)
        assert condition.shape[1] == shape[1]
        *_, last = synthesizer.denoise(condition.new_zeros(shape), seeds=[0], num_inference_steps=2)
        assert synthesizer.decode(last.latents)[0].modality == modality
