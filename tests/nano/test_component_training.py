"""The loop: what is resumed is what was never interrupted, and what goes wrong is named."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from nextgpt.train.fit import DivergenceError, TrainerConfig, fit, lr_scale_at, resolve_bf16
from torch import Tensor, nn

from nextgpt.errors import ModelError

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


def network() -> nn.Sequential:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Sequential(nn.Linear(3, 8), nn.LayerNorm(8), nn.Linear(8, 1))


def train(
    model: nn.Module, folder: Path, config: TrainerConfig = CONFIG, *, killed_at: int | None = None
) -> None:
    """Fit ``model`` to sums of three numbers, with noise, so that both generators matter."""

    def draw(rng: np.random.Generator, size: int) -> Tensor:
        return torch.from_numpy(rng.normal(size=(size, 3))).float()

    def loss(batch: Tensor, noise: torch.Generator) -> dict[str, Tensor]:
        blurred = batch + 0.1 * torch.randn(batch.shape, generator=noise)
        return {"loss": (model(blurred)[:, 0] - batch.sum(1)).square().mean()}

    def report(line: dict[str, float]) -> None:
        if line["step"] == killed_at:
            raise Killed

    fit({"model": model}, draw, loss, config, folder, report=report)


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
        resumed[0].weight.add_(1)  # a process that starts anew need not start from the same weights
    if killed_at <= CONFIG.save_steps:
        resumed = network()  # without a checkpoint there is nothing but the start
    train(resumed, tmp_path / "killed")
    assert_same(whole, resumed)


def test_metrics_hold_every_step_once_after_a_run_was_resumed(tmp_path: Path) -> None:
    train(network(), tmp_path / "whole")
    with pytest.raises(Killed):
        train(network(), tmp_path / "killed", killed_at=5)
    train(network(), tmp_path / "killed")
    expected = [(line["step"], line["loss"]) for line in lines(tmp_path / "whole")]
    assert [(line["step"], line["loss"]) for line in lines(tmp_path / "killed")] == expected
    assert [step for step, _ in expected] == list(range(1, 8))


def test_a_finished_run_is_not_trained_further(tmp_path: Path) -> None:
    trained, again = network(), network()
    train(trained, tmp_path)
    written = (tmp_path / "checkpoint.pt").stat().st_mtime_ns
    train(again, tmp_path)
    assert_same(trained, again)
    assert (tmp_path / "checkpoint.pt").stat().st_mtime_ns == written
    assert len(lines(tmp_path)) == CONFIG.max_steps


def test_another_seed_gives_another_run(tmp_path: Path) -> None:
    one, other = network(), network()
    train(one, tmp_path / "one")
    train(other, tmp_path / "other", CONFIG.model_copy(update={"seed": 1}))
    assert not torch.equal(one[0].weight, other[0].weight)


def test_the_result_is_the_moving_average_of_the_weights(tmp_path: Path) -> None:
    one_step = CONFIG.model_copy(update={"max_steps": 1})
    start, averaged, last = network(), network(), network()
    train(averaged, tmp_path / "averaged", one_step)
    train(last, tmp_path / "last", one_step.model_copy(update={"ema_decay": None}))
    for name, first in start.state_dict().items():
        # At first the average forgets quickly: after step 1 a tenth of the start is left.
        expected = 0.1 * first + 0.9 * last.state_dict()[name]
        torch.testing.assert_close(averaged.state_dict()[name], expected)


def test_what_needs_no_gradient_stays_and_is_not_in_the_checkpoint(tmp_path: Path) -> None:
    model, before = network(), network()
    model[0].requires_grad_(False)
    train(model, tmp_path)
    assert torch.equal(model[0].weight, before[0].weight) and not torch.equal(
        model[2].weight, before[2].weight
    )
    saved = torch.load(tmp_path / "checkpoint.pt", weights_only=True)
    assert set(saved["trained"]) == {"model.1.weight", "model.1.bias", "model.2.weight", "model.2.bias"}


def test_a_loss_that_is_no_number_stops_the_run_and_names_the_step(tmp_path: Path) -> None:
    model, seen = network(), []

    def loss(batch: Tensor, noise: torch.Generator) -> dict[str, Tensor]:
        seen.append(batch)
        return {"loss": model(batch).mean() * (float("nan") if len(seen) == 4 else 1.0)}

    def draw(rng: np.random.Generator, size: int) -> Tensor:
        return torch.ones(size, 3)

    with pytest.raises(DivergenceError, match=r"nan at step 3 .*seed \[0, 3\].*Lower the learning rate"):
        fit({"model": model}, draw, loss, CONFIG, tmp_path)
    assert all(torch.isfinite(tensor).all() for tensor in model.state_dict().values())
    assert torch.load(tmp_path / "checkpoint.pt", weights_only=True)["step"] == 2


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
    with pytest.raises(ModelError, match=rf"checkpoint\.pt holds other parameters .*{named}"):
        train(other, tmp_path)


def test_the_rate_warms_up_and_falls_linearly_to_what_is_left_at_the_end() -> None:
    config = TrainerConfig(max_steps=110, batch_size=1, warmup_steps=10, min_lr_ratio=0.1)
    assert lr_scale_at(0, config) == pytest.approx(0.1)
    assert lr_scale_at(9, config) == pytest.approx(1.0)
    assert lr_scale_at(10, config) == pytest.approx(1.0)
    assert lr_scale_at(60, config) == pytest.approx(0.55)
    assert lr_scale_at(109, config) == pytest.approx(0.109)


def test_the_rates_of_both_optimizers_follow_the_schedule(tmp_path: Path) -> None:
    """A rate of nothing moves nothing: the one step of a warm-up of a million steps."""
    model, before = network(), network()
    train(
        model, tmp_path, CONFIG.model_copy(update={"max_steps": 1, "warmup_steps": 10**9, "ema_decay": None})
    )
    for name, value in model.state_dict().items():
        torch.testing.assert_close(value, before.state_dict()[name], rtol=0, atol=1e-6)


@pytest.mark.parametrize("has_matrix_units", [True, False])
def test_bfloat16_is_used_where_it_is_faster_unless_the_recipe_says(
    has_matrix_units: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: has_matrix_units)
    left_open = TrainerConfig(max_steps=1, batch_size=1)
    assert resolve_bf16(left_open, "cpu") == has_matrix_units
    assert resolve_bf16(left_open, "cuda")
    assert resolve_bf16(left_open.model_copy(update={"bf16": True}), "cpu")
    assert not resolve_bf16(left_open.model_copy(update={"bf16": False}), "cuda")
