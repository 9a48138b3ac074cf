"""Many processes, kills and requests to stop: the curve stays the one of a run that was left alone."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import yaml
from safetensors.torch import load_file

from nextgpt.errors import ConfigError, ModelError
from nextgpt.model.weights import WEIGHTS_FILE
from nextgpt.train import engine
from nextgpt.train.align_corpora import align_on_corpora
from nextgpt.train.checkpoints import Checkpoints
from nextgpt.train.processes import Processes
from nextgpt.train.recipe import CorporaRecipe, read_recipe

Make = Callable[..., CorporaRecipe]
Losses = Callable[[CorporaRecipe], list[float]]
PAPER = sorted((Path(__file__).parents[3] / "recipes" / "paper").glob("*.yaml"))


def written(recipe: CorporaRecipe) -> Path:
    path = recipe.work.parent / "recipe.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(yaml.safe_load(recipe.model_dump_json(exclude_none=True)), sort_keys=False))
    return path


def command(recipe: CorporaRecipe, processes: int = 1) -> list[str]:
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)]
    return [sys.executable, *(launcher if processes > 1 else []), "-m", "nextgpt", "train", str(written(recipe))]


def environment() -> dict[str, str]:
    source = str(Path(engine.__file__).parents[2])
    return os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": source, "CUDA_VISIBLE_DEVICES": ""}


def weights(recipe: CorporaRecipe) -> dict[str, torch.Tensor]:
    return load_file(recipe.model / WEIGHTS_FILE)


@pytest.mark.slow
@pytest.mark.parametrize("sharding", ["none", "fsdp2"])
def test_two_processes_give_the_curve_of_one(sharding: str, recipe: Make, losses: Losses) -> None:
    alone = recipe("instruction-tuning", name="alone")
    align_on_corpora(alone)
    both = recipe("instruction-tuning", name="both", engine={"workers": 0, "sharding": sharding})
    done = subprocess.run(command(both, 2), env=environment(), capture_output=True, text=True, timeout=400)
    assert done.returncode == 0, done.stderr[-2000:]
    assert losses(both) == pytest.approx(losses(alone), rel=1e-4)


class Killed(BaseException):
    """Stands for kill -9: nothing that was not written survives it."""


@pytest.mark.parametrize("at", [0, 1, 2, 3, 4, 5])
def test_a_run_that_was_killed_goes_on_bit_equal(
    at: int, recipe: Make, losses: Losses, monkeypatch: pytest.MonkeyPatch
) -> None:
    lora = {"rank": 2, "alpha": 4, "dropout": 0.1, "targets": ["q_proj"]}
    whole = recipe("instruction-tuning", name="whole", fit={"steps": 6}, lora=lora)
    align_on_corpora(whole)
    broken = recipe("instruction-tuning", name="broken", fit={"steps": 6}, lora=lora)
    plain, calls = engine._step, []

    def step_or_die(*arguments: object) -> None:
        if len(calls) == at:
            raise Killed
        calls.append(at)
        plain(*arguments)

    monkeypatch.setattr(engine, "_step", step_or_die)
    with pytest.raises(Killed):
        align_on_corpora(broken)
    monkeypatch.setattr(engine, "_step", plain)
    align_on_corpora(broken)
    assert losses(broken) == losses(whole)
    assert all(torch.equal(value, weights(broken)[name]) for name, value in weights(whole).items())


@pytest.mark.slow
def test_a_request_to_stop_saves_exits_0_and_goes_on_bit_equal(recipe: Make, losses: Losses) -> None:
    whole = recipe("encoding-alignment", name="whole", fit={"steps": 400, "save_every": 1000})
    stopped = recipe("encoding-alignment", name="stopped", fit={"steps": 400, "save_every": 1000})
    process = subprocess.Popen(command(stopped), env=environment(), stderr=subprocess.PIPE, text=True)
    for line in process.stderr:
        if "/400 " in line:
            process.send_signal(signal.SIGTERM)
            break
    process.stderr.read()
    assert process.wait(timeout=200) == 0
    assert len(list((stopped.work / "checkpoints").iterdir())) == 1 and not stopped.model.exists()
    align_on_corpora(stopped)
    align_on_corpora(whole)
    assert losses(stopped) == losses(whole)


def test_old_checkpoints_go_and_each_is_a_model_folder(recipe: Make) -> None:
    from nextgpt import NextGPT

    settings = recipe("instruction-tuning", fit={"steps": 6})
    align_on_corpora(settings)
    folders = sorted(path.name for path in (settings.work / "checkpoints").iterdir())
    assert folders == ["step-00000004", "step-00000006"]
    NextGPT.from_pretrained(settings.work / "checkpoints" / folders[-1])


def test_half_a_checkpoint_is_none(tmp_path: Path) -> None:
    layer = torch.nn.Linear(2, 2)
    trained = dict(layer.named_parameters())
    optimizer = torch.optim.AdamW(layer.parameters())

    def fail(folder: Path) -> None:
        raise Killed

    Checkpoints(tmp_path, keep=2).save(1, trained, [optimizer])
    with pytest.raises(Killed):
        Checkpoints(tmp_path, keep=2, export=fail).save(2, trained, [optimizer])
    assert Checkpoints(tmp_path, keep=2).resume(trained, [optimizer]) == 1


def test_a_checkpoint_of_another_recipe_is_refused(recipe: Make) -> None:
    align_on_corpora(recipe("encoding-alignment"))
    with pytest.raises(ModelError, match="holds other parameters"):
        align_on_corpora(recipe("decoding-alignment"))


def test_another_number_of_processes_than_promised_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    class Silent:
        """Two copies that don't know of one another, as some settings of accelerate give."""

        process_index, num_processes, device = 0, 1, torch.device("cpu")

    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setattr("nextgpt.train.processes.Accelerator", lambda **_: Silent())
    with pytest.raises(ConfigError, match="promised 2 processes, accelerate sees 1"):
        Processes()


@pytest.mark.parametrize("path", PAPER, ids=lambda path: path.stem)
def test_the_published_recipes_are_read(path: Path) -> None:
    recipe = read_recipe(path)
    assert isinstance(recipe, CorporaRecipe) and recipe.max_tokens == 512 and recipe.fit.weight_decay == 1e-3
    rate = {"encoding-alignment": 4e-4, "decoding-alignment": 4e-4, "instruction-tuning": 5e-4}[recipe.stage]
    assert recipe.fit.learning_rate == rate and recipe.fit.warmup_steps == recipe.fit.steps // 10
