"""The training loop: one short loop for every model that this project trains, from autoencoder to instruction tuning.

A run is a function of its configuration and its step number: the batch of step ``n`` is drawn from a generator seeded
with ``(seed, n)``, so a run that is killed and resumed goes on exactly where its last checkpoint stood. The loop knows
nothing about what is trained; it is given modules, batches and a loss.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict
from torch import Tensor, nn

from nextgpt.errors import ConfigError, ModelError, NextGPTError
from nextgpt.train.optimizers import create_optimizers

Batch = Any
Losses = Mapping[str, Tensor]


class TrainerConfig(BaseModel):
    """How long, how fast and how precisely a run trains."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    max_steps: int
    batch_size: int
    learning_rate: float = 1e-3
    """AdamW's peak rate."""
    muon_learning_rate: float | None = None
    """Muon's peak rate for the hidden matrices; none leaves all to AdamW."""
    lr_multipliers: dict[str, float] = {}
    """What share of both rates holds for the modules of these names, for example ``{input_projection: 0.1}``."""
    weight_decay: float = 0.01
    warmup_steps: int = 100
    min_lr_ratio: float = 0.0
    """What is left of the peak rate at the last step; the way there is linear."""
    max_grad_norm: float = 1.0
    ema_decay: float | None = None
    """Decay of the moving average of the weights that is kept as the result; none keeps the last weights."""
    bf16: bool | None = None
    """Matrix products in bfloat16 (autocast); weights and optimizers stay in float32. None: where that is faster, on
    accelerators and on processors with matrix units (AMX); on others bfloat16 takes about twice the time."""
    fp16: bool = False
    """The same in float16, with a loss scale, for devices without bfloat16; in training on corpora only."""
    compile: bool = False
    """Compile what is trained, which pays after some minutes."""
    seed: int = 0
    log_steps: int = 20
    save_steps: int = 500


class DivergenceError(NextGPTError):
    """The loss is no longer a number."""


def fit(
    modules: Mapping[str, nn.Module],
    draw_batch: Callable[[np.random.Generator, int], Batch],
    loss: Callable[[Batch, torch.Generator], Losses],
    config: TrainerConfig,
    folder: Path,
    *,
    device: str = "cpu",
    report: Callable[[dict[str, float]], None] | None = None,
) -> None:
    """Train the trainable parameters of ``modules`` in place; resume from ``folder`` where it holds a checkpoint.

    Args:
        modules: by name; parameters that need no gradient are left out of training and of the checkpoint.
        draw_batch: ``(rng, batch_size) -> batch``, a function of the generator alone.
        loss: ``(batch, generator) -> {"loss": total, ...}``; further entries are only logged.
        folder: takes ``metrics.jsonl`` and ``checkpoint.pt``.
        report: called with every line of metrics.

    Raises:
        Divergence: the loss became NaN or infinite; the message names the step whose batch did it.
        ConfigError: the settings ask for what this loop has not.
    """
    if config.fp16:
        raise ConfigError("fit.fp16 is set; this loop scales no loss. Leave it out, and set bf16 or neither.")
    folder.mkdir(parents=True, exist_ok=True)
    torch.set_flush_denormal(True)  # numbers that are all but zero slow a CPU down tenfold
    trained = {
        f"{m}.{n}": p
        for m, module in modules.items()
        for n, p in module.named_parameters()
        if p.requires_grad
    }
    optimizers = create_optimizers(
        modules.values(),
        learning_rate=config.learning_rate,
        muon_learning_rate=config.muon_learning_rate,
        weight_decay=config.weight_decay,
        rate_shares=config.lr_multipliers,
    )
    peaks = [[group["lr"] for group in optimizer.param_groups] for optimizer in optimizers]
    average = {name: p.detach().clone() for name, p in trained.items()} if config.ema_decay else {}
    checkpoint = folder / "checkpoint.pt"
    first = _resume(checkpoint, trained, average, optimizers) if checkpoint.exists() else 0
    truncate_metrics(first, folder / "metrics.jsonl")
    noise = torch.Generator(device=device)
    started, last_log = time.monotonic(), first
    autocast = torch.autocast(device, torch.bfloat16) if resolve_bf16(config, device) else nullcontext()

    with (folder / "metrics.jsonl").open("a") as metrics:
        for step in range(first, config.max_steps):
            batch = draw_batch(np.random.default_rng([config.seed, step]), config.batch_size)
            noise.manual_seed(config.seed * 1_000_003 + step)
            with autocast:
                losses = loss(batch, noise)
            if not torch.isfinite(losses["loss"]):
                raise DivergenceError(
                    f"The loss is {losses['loss'].item()} at step {step} (batch seed [{config.seed}, {step}]); "
                    "expected a finite number. Lower the learning rate, or look at that batch. "
                    f"{checkpoint} holds the last state."
                )
            losses["loss"].backward()
            norm = nn.utils.clip_grad_norm_(trained.values(), config.max_grad_norm)
            scale = lr_scale_at(step, config)
            for optimizer, rates in zip(optimizers, peaks, strict=True):
                for group, peak in zip(optimizer.param_groups, rates, strict=True):
                    group["lr"] = peak * scale
                optimizer.step()
            for parameter in trained.values():
                parameter.grad = None
            _update_average(average, trained, config, step)
            done = step + 1
            if done % config.log_steps == 0 or done == config.max_steps:
                seconds = time.monotonic() - started
                line = {name: float(value.detach()) for name, value in losses.items()} | {
                    "step": done,
                    "gradient_norm": float(norm),
                    "samples_per_s": (done - last_log) * config.batch_size / max(seconds, 1e-9),
                }
                started, last_log = time.monotonic(), done
                metrics.write(json.dumps(line) + "\n")
                metrics.flush()
                if report:
                    report(line)
            if done % config.save_steps == 0 or done == config.max_steps:
                _save(checkpoint, done, trained, average, optimizers)
    for name, value in average.items():
        trained[name].data.copy_(value)


def resolve_bf16(config: TrainerConfig, device_type: str) -> bool:
    """Whether matrix products are in bfloat16: as the config says, or where it leaves it open, where that is faster."""
    if config.bf16 is not None:
        return config.bf16
    return device_type != "cpu" or torch.cpu._is_amx_tile_supported()


def lr_scale_at(step: int, config: TrainerConfig) -> float:
    """The share of the peak rate at ``step``: linear warm-up, then linear to ``final_rate`` at the last step."""
    if step < config.warmup_steps:
        return (step + 1) / config.warmup_steps
    left = (config.max_steps - step) / max(config.max_steps - config.warmup_steps, 1)
    return config.min_lr_ratio + (1 - config.min_lr_ratio) * left


def _update_average(
    average: dict[str, Tensor], trained: Mapping[str, nn.Parameter], config: TrainerConfig, step: int
) -> None:
    if not average:
        return
    decay = min(config.ema_decay or 0.0, (1 + step) / (10 + step))
    torch._foreach_lerp_(list(average.values()), [p.detach() for p in trained.values()], 1 - decay)


def _save(path: Path, step: int, trained: Mapping, average: Mapping, optimizers: list) -> None:
    """Write a checkpoint whole or not at all."""
    state = {
        "step": step,
        "trained": {name: p.detach() for name, p in trained.items()},
        "average": dict(average),
        "optimizers": [optimizer.state_dict() for optimizer in optimizers],
    }
    unfinished = path.with_suffix(".unfinished")
    torch.save(state, unfinished)
    unfinished.replace(path)


def _resume(path: Path, trained: Mapping, average: dict, optimizers: list) -> int:
    """Take up the state of ``path``; return the number of steps done."""
    state = torch.load(path, weights_only=True)
    found = {(name, value.shape) for name, value in state["trained"].items()}
    odd = sorted({name for name, _ in found ^ {(name, p.shape) for name, p in trained.items()}})
    if odd or len(optimizers) != len(state["optimizers"]):
        raise ModelError(
            f"{path} holds other parameters than this run trains (for example {', '.join(odd[:5]) or 'of Muon'}); "
            "expected a checkpoint of the same recipe. Choose another output folder, or delete the checkpoint."
        )
    for name, value in state["trained"].items():
        trained[name].data.copy_(value)
    for name, value in average.items():
        value.copy_(state["average"].get(name, state["trained"][name]))
    for optimizer, saved in zip(optimizers, state["optimizers"], strict=True):
        optimizer.load_state_dict(saved)
    return state["step"]


def truncate_metrics(step: int, path: Path) -> None:
    """Cut off what was logged after the checkpoint that a run goes on from, since it is logged again."""
    if not path.is_file():
        return
    lines = path.read_text().splitlines(keepends=True)
    kept = [line for line in lines if line.endswith("\n") and json.loads(line)["step"] <= step]
    unfinished = path.with_suffix(".unfinished")
    unfinished.write_text("".join(kept))
    unfinished.replace(path)
