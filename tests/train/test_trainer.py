"""Many processes, kills and requests to stop: the curve stays the one of a run that was left alone."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from functools import partialmethod
from multiprocessing.process import BaseProcess
from pathlib import Path
from random import Random
from typing import Any

import pytest
import torch
import yaml
from accelerate.state import AcceleratorState
from safetensors.torch import load_file
from tqdm.auto import tqdm

from nextgpt import NextGPT
from nextgpt.errors import ConfigError, ModelError
from nextgpt.model.model_dir import WEIGHTS_FILE
from nextgpt.train import align, trainer
from nextgpt.train.align import configure_llm, make_sampler, run
from nextgpt.train.alignment_recipe import AlignmentRecipe
from nextgpt.train.checkpoint import CheckpointManager, TrainingState
from nextgpt.train.dataset import LocalBatch
from nextgpt.train.distributed import DistributedContext
from nextgpt.train.frozen_encoders import FrozenEncoders, attach_encoder_outputs
from nextgpt.train.initial_model import load_initial_model, set_trainable
from nextgpt.train.objective import AlignmentObjective
from nextgpt.train.recipe import run_recipe
from nextgpt.train.stages import get_stage

Make = Callable[..., AlignmentRecipe]
Losses = Callable[[AlignmentRecipe], list[float]]


def written(recipe: AlignmentRecipe) -> Path:
    path = recipe.work.parent / "recipe.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(yaml.safe_load(recipe.model_dump_json(exclude_none=True)), sort_keys=False))
    return path


def environment() -> dict[str, str]:
    source = str(Path(trainer.__file__).parents[2])
    return os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": source, "CUDA_VISIBLE_DEVICES": ""}


def state(recipe: AlignmentRecipe) -> dict[str, Any]:
    """All that a run ends with: weights, optimizers with their steps, and every line of metrics."""
    checkpoint = CheckpointManager(recipe.work / "checkpoints", save_total_limit=2).latest
    lines = [json.loads(line) for line in (recipe.work / "metrics.jsonl").read_text().splitlines()]
    return {
        "weights": digest(recipe.model / WEIGHTS_FILE),
        "trained": digest(checkpoint / "trained.safetensors"),
        "average": digest(average) if (average := checkpoint / "average.safetensors").is_file() else {},
        "optimizers": digest(checkpoint / "optimizers.safetensors"),
        "state": json.loads((checkpoint / "state.json").read_text()),
        "metrics": [{n: v for n, v in line.items() if n not in ("samples_per_s", "waiting_share")} for line in lines],
    }


def digest(path: Path) -> dict[str, bytes]:
    return {name: tensor.view(-1).view(torch.uint8).numpy().tobytes() for name, tensor in load_file(path).items()}


def train_as(recipe: AlignmentRecipe, rank: int, world: int, port: int) -> None:
    """Be one of ``world`` processes, which torchrun would have started so."""
    # Progress bars share a lock with the parent, and a process that was killed while it held it never gives it back.
    tqdm.set_lock(threading.RLock())
    AcceleratorState._reset_state(reset_partial_state=True)
    os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(world), "LOCAL_WORLD_SIZE": str(world)}
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    run_recipe(recipe)


def started(recipe: AlignmentRecipe, rank: int = 0, world: int = 1, port: int = 0) -> BaseProcess:
    """A process of its own that trains; as it is forked, nothing is imported once more."""
    process = multiprocessing.get_context("fork").Process(target=train_as, args=(recipe, rank, world, port))
    process.start()
    return process


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def logged(recipe: AlignmentRecipe) -> int:
    """Steps that are in the metrics."""
    path = recipe.work / "metrics.jsonl"
    return path.read_text().count("\n") if path.is_file() else 0


def wait_until(is_so: Callable[[], bool], process: BaseProcess) -> None:
    end = time.monotonic() + 300
    while process.is_alive() and not is_so() and time.monotonic() < end:
        time.sleep(0.002)


@pytest.mark.parametrize("sharding", ["none", "fsdp2"])
@pytest.mark.parametrize("stage", ["decoding-alignment", "instruction-tuning"])
def test_two_processes_give_the_curve_of_one(stage: str, sharding: str, recipe: Make, losses: Losses) -> None:
    told = {"cross_entropy": 1, "l2": 1, "denoising": 1}
    alone = recipe(stage, name="alone", losses=told)
    run(alone)
    both = recipe(stage, name="both", losses=told, engine={"num_workers": 0, "sharding": sharding})
    train_by_two(both)
    assert losses(both) == pytest.approx(losses(alone), rel=1e-5)
    for name, value in load_file(alone.model / WEIGHTS_FILE).items():
        torch.testing.assert_close(load_file(both.model / WEIGHTS_FILE)[name], value, rtol=1e-2, atol=1e-3)


def train_by_two(recipe: AlignmentRecipe) -> None:
    port = free_port()
    processes = [started(recipe, rank, 2, port) for rank in range(2)]
    for process in processes:
        process.join(300)
    assert [process.exitcode for process in processes] == [0, 0]


@pytest.mark.slow
@pytest.mark.parametrize("launcher", [
    ["torch.distributed.run", "--standalone", "--nproc-per-node", "2"],
    ["accelerate.commands.launch", "--multi_gpu", "--num_machines", "1", "--num_processes", "2",
     "--mixed_precision", "no", "--dynamo_backend", "no"],
], ids=lambda launcher: launcher[0])  # fmt: skip
def test_launchers_start_two_processes_with_the_curve_of_one(launcher: list[str], recipe: Make, losses: Losses) -> None:
    alone = recipe("encoding-alignment", name="alone")
    run(alone)
    both = recipe("encoding-alignment", name="both")
    port = ["--main_process_port", str(free_port())] if launcher[0].startswith("accelerate") else []
    command = [sys.executable, "-m", *launcher, *port, "-m", "nextgpt", "train", str(written(both))]
    done = subprocess.run(command, env=environment(), capture_output=True, text=True, timeout=400)
    assert done.returncode == 0, done.stderr[-2000:]
    assert losses(both) == pytest.approx(losses(alone), rel=1e-5)


DATA: dict[str, dict[str, Any]] = {
    "corpora": {},
    "miniworld": {"data": {"miniworld": {"tasks": {"question": 1, "text_to_audio": 1}}}, "batch_unit": "turn"},
}
LORA = {"rank": 2, "alpha": 4, "dropout": 0.1, "targets": ["q_proj"]}
KILLS = 10


@pytest.mark.slow
@pytest.mark.parametrize("data", DATA)
def test_a_run_that_is_killed_ten_times_at_random_moments_ends_bit_equal(data: str, recipe: Make) -> None:
    random = Random(0)
    fit = {"max_steps": 50, "save_steps": 2, "ema_decay": 0.9}
    whole = recipe("instruction-tuning", name="whole", fit=fit, lora=LORA, **DATA[data])
    began = time.monotonic()
    run(whole)
    step_s = (time.monotonic() - began) / 50
    killed = recipe("instruction-tuning", name="killed", fit=fit, lora=LORA, **DATA[data])
    reached = []
    for life in range(KILLS):
        process = started(killed)
        if life % 5 > 0:  # every fifth dies while it starts
            goal = logged(killed) + random.randint(1, 3)
            wait_until(lambda goal=goal: logged(killed) >= goal, process)
        time.sleep(random.uniform(0, 3 * step_s))
        process.kill()
        process.join()
        assert process.exitcode == -signal.SIGKILL, f"life {life} was over before it was killed"
        reached.append(logged(killed))
    assert len(set(reached)) > 5, "kills that hit no running training show nothing"
    last = started(killed)
    last.join(300)
    assert last.exitcode == 0
    assert state(killed) == state(whole)


class Killed(BaseException):
    """Stands for kill -9: nothing that was not written survives it."""


@pytest.mark.parametrize("data", DATA)
def test_a_request_to_stop_saves_exits_0_and_goes_on_bit_equal(data: str, recipe: Make) -> None:
    fit = {"max_steps": 12, "save_steps": 1000, "ema_decay": 0.9}
    stopped = recipe("encoding-alignment", name="stopped", fit=fit, **DATA[data])
    process = started(stopped)
    wait_until(lambda: logged(stopped) >= 2, process)
    os.kill(process.pid, signal.SIGTERM)
    process.join(300)
    assert process.exitcode == 0
    assert len(list((stopped.work / "checkpoints").iterdir())) == 1 and not stopped.model.exists()
    run(stopped)
    whole = recipe("encoding-alignment", name="whole", fit=fit, **DATA[data])
    run(whole)
    assert state(stopped) == state(whole)


def test_lines_that_a_kill_cut_off_do_not_hinder_the_next_start(recipe: Make) -> None:
    settings = recipe("encoding-alignment", fit={"max_steps": 12})
    run(settings)
    expected = state(settings)
    for name in ("metrics.jsonl", "invalid-0.jsonl"):
        with (settings.work / name).open("a") as file:
            file.write('{"ke')
    run(settings)
    assert state(settings) == expected
    assert all(json.loads(line) for line in (settings.work / "invalid-0.jsonl").read_text().splitlines())


@pytest.mark.parametrize("stage", ["decoding-alignment", "instruction-tuning"])
@pytest.mark.parametrize("micro_batch", [None, 2])
def test_activations_that_are_computed_again_do_not_change_the_curve(
    stage: str, micro_batch: int | None, recipe: Make, losses: Losses
) -> None:
    plain, changed = (
        recipe(stage, name=name, engine={"num_workers": 0, "gradient_checkpointing": again, "micro_batch_size": size})
        for name, again, size in (("plain", False, None), ("again", True, micro_batch))
    )
    run(plain)
    run(changed)
    assert losses(changed) == pytest.approx(losses(plain), rel=1e-4)


@pytest.mark.slow
def test_a_compiled_run_has_the_same_curve(recipe: Make, losses: Losses, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = recipe("instruction-tuning", name="plain", fit={"max_steps": 2})
    compiled = recipe("instruction-tuning", name="compiled", fit={"max_steps": 2, "compile": True})
    # What is generated from the graph is not this project's; tracing the graph is.
    monkeypatch.setattr(torch.nn.Module, "compile", partialmethod(torch.nn.Module.compile, backend="aot_eager"))
    run(plain)
    run(compiled)
    assert losses(compiled) == pytest.approx(losses(plain), rel=1e-4)


def test_activations_that_are_computed_again_are_not_kept(recipe: Make) -> None:
    kept = {}
    for is_computed_again in (False, True):
        settings = recipe("encoding-alignment", engine={"num_workers": 0, "gradient_checkpointing": is_computed_again})
        model = load_initial_model(settings)
        stage = get_stage("encoding-alignment")
        set_trainable(model, stage, settings.lora)
        configure_llm(model, stage, settings)
        (batch,) = attach_encoder_outputs(
            batches_of_a_run(settings, model), FrozenEncoders.of(model, settings.model_dir, stage)
        )
        sizes: list[int] = []
        with torch.autograd.graph.saved_tensors_hooks(lambda t, to=sizes: (to.append(t.nbytes), t)[1], lambda t: t):
            loss = sum(AlignmentObjective(model, stage)(batch).values())
        loss.backward()
        kept[is_computed_again] = sum(sizes)
    assert kept[True] < 0.7 * kept[False]


def batches_of_a_run(recipe: AlignmentRecipe, model: NextGPT) -> Iterator[LocalBatch]:
    yield make_sampler(recipe, model).local_batch(0)


def test_a_missing_corpus_is_found_before_the_model_is_read(recipe: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = recipe("instruction-tuning", data={"corpora": {"cc3m": {"path": "nowhere"}}})
    monkeypatch.setattr(align, "load_initial_model", lambda *args, **options: pytest.fail("the model was read"))
    with pytest.raises(ConfigError, match="nowhere"):
        run(settings)


def test_bfloat16_follows_the_curve_of_float32(recipe: Make, losses: Losses) -> None:
    plain = recipe("instruction-tuning", name="plain")
    half = recipe("instruction-tuning", name="half", fit={"bf16": True})
    run(plain)
    run(half)
    assert losses(half) == pytest.approx(losses(plain), rel=0.1) and losses(half) != losses(plain)
    assert all(tensor.dtype == torch.float32 for tensor in load_file(half.model / WEIGHTS_FILE).values())


def test_gradients_are_clipped(recipe: Make) -> None:
    plain = recipe("encoding-alignment", name="plain", fit={"max_steps": 1, "warmup_steps": 0})
    clipped = recipe(
        "encoding-alignment", name="clipped", fit={"max_steps": 1, "warmup_steps": 0, "max_grad_norm": 1e-9}
    )
    for settings in (plain, clipped):
        run(settings)
    moments = [
        load_file(settings.work / "checkpoints/step-00000001/optimizers.safetensors")["0.0.exp_avg"].norm()
        for settings in (plain, clipped)
    ]
    assert moments[1] < 1e-8 < moments[0]


def test_old_checkpoints_go_and_each_is_a_model_folder(recipe: Make) -> None:
    settings = recipe("instruction-tuning", fit={"max_steps": 6})
    run(settings)
    folders = sorted(path.name for path in (settings.work / "checkpoints").iterdir())
    assert folders == ["step-00000004", "step-00000006"]
    NextGPT.from_pretrained(settings.work / "checkpoints" / folders[-1])


def test_half_a_checkpoint_is_none(tmp_path: Path) -> None:
    layer = torch.nn.Linear(2, 2)
    trained = dict(layer.named_parameters())
    saved = TrainingState([torch.optim.AdamW(layer.parameters()).state_dict()])

    def fail(folder: Path) -> None:
        raise Killed

    CheckpointManager(tmp_path, save_total_limit=2).save(1, trained, saved)
    with pytest.raises(Killed):
        CheckpointManager(tmp_path, save_total_limit=2, export=fail).save(2, trained, saved)
    assert CheckpointManager(tmp_path, save_total_limit=2).resume(trained)[0] == 1


def test_a_checkpoint_of_another_recipe_is_refused(recipe: Make) -> None:
    run(recipe("encoding-alignment"))
    with pytest.raises(ModelError, match="holds other parameters"):
        run(recipe("decoding-alignment"))


def test_a_checkpoint_of_another_number_of_optimizers_is_refused(recipe: Make) -> None:
    run(recipe("decoding-alignment"))
    with pytest.raises(ModelError, match="holds 1 optimizers; expected 2"):
        run(recipe("decoding-alignment", fit={"muon_learning_rate": 0.01, "max_steps": 6}))


def test_another_number_of_processes_than_promised_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    class Silent:
        """Two copies that don't know of one another, as some settings of accelerate give."""

        process_index, num_processes, device = 0, 1, torch.device("cpu")

    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setattr("nextgpt.train.distributed.Accelerator", lambda **_: Silent())
    with pytest.raises(ConfigError, match="announced 2 processes, accelerate sees 1"):
        DistributedContext()
