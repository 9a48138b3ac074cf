"""The training loop on one component: what is resumed is what was never interrupted, and what goes wrong is named."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from nextgpt.errors import ConfigError, ModelError
from nextgpt.nano.component_training import DrawnBatch, train_component
from nextgpt.train import backend
from nextgpt.train.backend import resolve_bf16
from nextgpt.train.checkpoint import CheckpointManager
from nextgpt.train.config import TrainerConfig
from nextgpt.train.recipe import BaseRecipe
from nextgpt.train.trainer import DivergenceError, Objective, lr_scale_at

CONFIG = TrainerConfig(
    max_steps=7,
    batch_size=4,
    learning_rate=0.05,
    muon_learning_rate=0.02,
    ema_decay=0.9,
    warmup_steps=2,
    log_steps=1,
    save_steps=2,
    bf16=False,
)


class Killed(Exception):
    """Stands for a process that ends in the middle."""


class SumObjective(Objective):
    """Sums of three numbers, with noise, so that both generators matter."""

    def __init__(self, model: nn.Module, nan_at: int | None = None) -> None:
        super().__init__()
        self.model, self.nan_at, self.calls = model, nan_at, 0
        self.loss_weights, self.metric_names = {"squared_error": 1.0}, ("mean",)

    def forward(self, batch: DrawnBatch) -> dict[str, Tensor]:
        self.calls += 1
        noisy = batch.data + 0.1 * torch.randn_like(batch.data)
        error = (self.model(noisy)[:, 0] - batch.data.sum(1)).square().mean()
        return {"squared_error": error * (float("nan") if self.calls == self.nan_at else 1), "mean": noisy.mean()}


def network() -> nn.Sequential:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Sequential(nn.Linear(3, 8), nn.LayerNorm(8), nn.Linear(8, 1))


def train(
    model: nn.Module,
    folder: Path,
    config: TrainerConfig = CONFIG,
    *,
    killed_at: int | None = None,
    nan_at: int | None = None,
    **settings: object,
) -> None:
    def draw(rng: np.random.Generator, size: int) -> Tensor:
        return torch.from_numpy(rng.normal(size=(size, 3))).float()

    def on_metrics(line: dict[str, float]) -> None:
        if line["step"] == killed_at:
            raise Killed

    values = {"kind": "sum", "model": folder, "work": folder, "fit": config} | settings
    assert train_component(BaseRecipe.model_validate(values), SumObjective(model, nan_at), draw, on_metrics)


def lines(folder: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def assert_same(model: nn.Module, other: nn.Module) -> None:
    for (name, one), two in zip(model.state_dict().items(), other.state_dict().values(), strict=True):
        assert torch.equal(one, two), name


@pytest.mark.parametrize("killed_at", [1, 3, 4, 7])
def test_a_run_that_was_killed_ends_bit_equal_to_one_that_was_not(killed_at: int, tmp_path: Path) -> None:
    whole, killed, resumed = network(), network(), network()
    train(whole, tmp_path / "whole")
    with pytest.raises(Killed):
        train(killed, tmp_path / "killed", killed_at=killed_at)
    with torch.no_grad():
        resumed[0].weight.add_(1)  # a new process need not start from the same weights
    if killed_at <= CONFIG.save_steps:
        resumed = network()  # without a checkpoint there is nothing but the start
    train(resumed, tmp_path / "killed")
    assert_same(whole, resumed)


def test_metrics_hold_every_step_once_after_a_run_was_resumed(tmp_path: Path) -> None:
    train(network(), tmp_path / "whole")
    with pytest.raises(Killed):
        train(network(), tmp_path / "killed", killed_at=5)
    train(network(), tmp_path / "killed")
    expected = [(line["step"], line["loss"], line["mean"]) for line in lines(tmp_path / "whole")]
    assert [(line["step"], line["loss"], line["mean"]) for line in lines(tmp_path / "killed")] == expected
    assert [step for step, *_ in expected] == list(range(1, 8))


def test_metrics_are_logged_and_not_trained_on(tmp_path: Path) -> None:
    train(network(), tmp_path)
    assert all(line["loss"] == pytest.approx(line["squared_error"]) for line in lines(tmp_path))
    assert all(line["mean"] != 0 for line in lines(tmp_path))


def test_a_finished_run_is_not_trained_further(tmp_path: Path) -> None:
    trained, again = network(), network()
    train(trained, tmp_path)
    state = tmp_path / "checkpoints" / "step-00000007" / "state.json"
    written = state.stat().st_mtime_ns
    train(again, tmp_path)
    assert_same(trained, again)
    assert state.stat().st_mtime_ns == written
    assert len(lines(tmp_path)) == CONFIG.max_steps


def test_no_checkpoint_is_a_pickle(tmp_path: Path) -> None:
    train(network(), tmp_path)
    suffixes = {path.suffix for path in (tmp_path / "checkpoints").rglob("*") if path.is_file()}
    assert suffixes == {".safetensors", ".json"}


def test_another_seed_gives_another_run(tmp_path: Path) -> None:
    one, other = network(), network()
    train(one, tmp_path / "one")
    train(other, tmp_path / "other", CONFIG.model_copy(update={"seed": 1}))
    assert not torch.equal(one[0].weight, other[0].weight)


def test_the_result_is_the_moving_average_of_the_weights(tmp_path: Path) -> None:
    averaged = network()
    train(averaged, tmp_path, CONFIG.model_copy(update={"max_steps": 2, "save_steps": 1}))
    first, second = (
        load_file(tmp_path / "checkpoints" / f"step-0000000{step}" / "trained.safetensors") for step in (1, 2)
    )
    for name, value in averaged.state_dict().items():
        # At first the average forgets quickly: in step 2 its decay is 2 / 11.
        expected = 2 / 11 * first[f"model.{name}"] + 9 / 11 * second[f"model.{name}"]
        torch.testing.assert_close(value, expected)


def test_what_needs_no_gradient_stays_and_is_not_in_the_checkpoint(tmp_path: Path) -> None:
    model, before = network(), network()
    model[0].requires_grad_(False)
    train(model, tmp_path)
    assert torch.equal(model[0].weight, before[0].weight)
    assert not torch.equal(model[2].weight, before[2].weight)
    latest = CheckpointManager(tmp_path / "checkpoints", save_total_limit=2).latest
    assert latest is not None
    names = {"model.1.weight", "model.1.bias", "model.2.weight", "model.2.bias"}
    assert set(load_file(latest / "trained.safetensors")) == names == set(load_file(latest / "average.safetensors"))


def test_a_loss_that_is_no_number_stops_the_run_and_names_the_step_and_its_batch(tmp_path: Path) -> None:
    model = network()
    with pytest.raises(DivergenceError, match=r"Step 3 has loss nan.*batch seed \[0, 3\].*step-00000002"):
        train(model, tmp_path, nan_at=4)
    assert all(torch.isfinite(tensor).all() for tensor in model.state_dict().values())


@pytest.mark.parametrize(
    ("other", "named"),
    [
        (nn.Sequential(nn.Linear(3, 8), nn.LayerNorm(8), nn.Linear(8, 1, bias=False)), "model.2.bias"),
        (nn.Sequential(nn.Linear(3, 9), nn.LayerNorm(9), nn.Linear(9, 1)), "model.0.weight"),
    ],
    ids=["other names", "other shapes"],
)
def test_the_checkpoint_of_another_model_is_refused(other: nn.Module, named: str, tmp_path: Path) -> None:
    train(network(), tmp_path)
    with pytest.raises(ModelError, match=rf"step-00000007 holds other parameters .*{named}"):
        train(other, tmp_path)


def test_an_average_that_the_checkpoint_lacks_is_refused(tmp_path: Path) -> None:
    train(network(), tmp_path, CONFIG.model_copy(update={"ema_decay": None}))
    with pytest.raises(ModelError, match="holds no moving average"):
        train(network(), tmp_path)


def test_micro_batches_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="engine.micro_batch_size is set"):
        train(network(), tmp_path, engine={"micro_batch_size": 2})


def test_the_learning_rate_warms_up_and_falls_linearly_to_its_minimum() -> None:
    config = TrainerConfig(max_steps=110, batch_size=1, warmup_steps=10, min_lr_ratio=0.1)
    assert lr_scale_at(0, config) == pytest.approx(0.1)
    assert lr_scale_at(9, config) == pytest.approx(1.0)
    assert lr_scale_at(10, config) == pytest.approx(1.0)
    assert lr_scale_at(60, config) == pytest.approx(0.55)
    assert lr_scale_at(109, config) == pytest.approx(0.109)


def test_the_learning_rate_may_fall_by_a_cosine() -> None:
    """Values of 0.1 + 0.9 (1 + cos(pi x)) / 2 at x = 0, 1/3, 1/2 and 1."""
    config = TrainerConfig(max_steps=130, batch_size=1, warmup_steps=10, min_lr_ratio=0.1, lr_scheduler_type="cosine")
    assert lr_scale_at(4, config) == pytest.approx(0.5)
    assert [lr_scale_at(step, config) for step in (10, 50, 70, 130)] == pytest.approx([1.0, 0.775, 0.55, 0.1])


def test_the_rates_of_both_optimizers_follow_the_schedule(tmp_path: Path) -> None:
    """A rate of nothing moves nothing: the one step of a warm-up of a million steps."""
    model, before = network(), network()
    one_step = {"max_steps": 1, "warmup_steps": 10**9, "ema_decay": None}
    train(model, tmp_path, CONFIG.model_copy(update=one_step))
    for name, value in model.state_dict().items():
        torch.testing.assert_close(value, before.state_dict()[name], rtol=0, atol=1e-6)


@pytest.mark.parametrize("fastest", ["float32", "bfloat16"])
def test_bfloat16_is_used_where_it_is_faster_unless_the_recipe_says(
    fastest: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backend, "fastest_training_dtype", lambda: fastest)
    unset = TrainerConfig(max_steps=1, batch_size=1)
    assert resolve_bf16(unset, "cpu") == (fastest == "bfloat16")
    assert resolve_bf16(unset, "cuda")
    assert resolve_bf16(unset.model_copy(update={"bf16": True}), "cpu")
    assert not resolve_bf16(unset.model_copy(update={"bf16": False}), "cuda")
