"""The training loop: one or many processes give the same loss curve, and an interrupted run resumes bit-equal.

``config.batch_size`` is global: each process takes its local batch of it. Losses are means over terms, such as tokens
or media, and are weighted by the number of terms in each local batch, so that averaged gradients are those of the whole
batch. Batches and random numbers are functions of the step. The loop does not depend on what is trained.
"""

from __future__ import annotations

import math
import signal
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from nextgpt.errors import ConfigError, NextGPTError
from nextgpt.message import Part
from nextgpt.train.backend import DataParallelBackend, Losses
from nextgpt.train.checkpoint import CheckpointManager, Export
from nextgpt.train.config import EngineConfig, TrainerConfig
from nextgpt.train.distributed import DistributedContext
from nextgpt.train.logging import MetricsCallback, MetricsLogger, Trackers

ZERO_LOSS = "zero"
"""Name of a zero-valued loss that touches every sharded layer, so that all ranks run the same backward collectives."""


class DivergenceError(NextGPTError):
    """A loss or a gradient is not finite."""


@runtime_checkable
class LocalBatch(Protocol):
    """The samples of one process in one step."""

    @property
    def keys(self) -> tuple[str, ...]:
        """Names of the samples, for error messages."""
        ...

    def split(self, size: int) -> Sequence[Any]:
        """Split into micro-batches of at most ``size`` samples."""
        ...


class Objective(nn.Module):
    """A weighted sum of losses, each a mean over terms."""

    loss_weights: Mapping[str, float]
    """Weight by name of each loss."""
    metric_names: Sequence[str] = ()
    """Further means in the output that are logged, not trained on."""
    layers: Sequence[nn.Module] = ()
    """Layers whose frozen weights may be sharded."""

    def num_terms(self, batch: Any) -> dict[str, int]:
        """Return the number of terms in each mean. Default: each is one mean over the batch."""
        return dict.fromkeys([*self.loss_weights, *self.metric_names], 1)

    def forward(self, batch: Any) -> dict[str, Tensor]:
        """Return each loss and metric that has terms in this batch, and :data:`ZERO_LOSS` if layers are sharded."""
        raise NotImplementedError


@dataclass(frozen=True)
class Callbacks:
    """Functions that the loop calls."""

    export: Export = lambda folder: None
    """Writes further files into every checkpoint."""
    sample: Callable[[int], Mapping[str, Sequence[Part]]] | None = None
    """Returns sample outputs by name after a number of steps."""
    on_metrics: MetricsCallback | None = None
    """Receives every line of metrics."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """Settings that trackers store."""


def train(
    objective: Objective,
    batches: Callable[[int], Iterator[LocalBatch]],
    config: TrainerConfig,
    folder: Path,
    *,
    engine: EngineConfig = EngineConfig(),
    context: DistributedContext | None = None,
    callbacks: Callbacks = Callbacks(),
) -> bool:
    """Train the trainable parameters of ``objective``, from the latest checkpoint in ``folder`` on.

    With ``config.ema_decay`` the objective holds the averaged weights afterwards.

    Args:
        batches: ``first step -> local batches`` of this process; each a function of its step alone.

    Returns:
        True if all steps are done; False if SIGTERM stopped the run, after a checkpoint was written.

    Raises:
        DivergenceError: A loss or a gradient is not finite; names the samples of the batch.
        ConfigError: The batch size does not suit the number of processes.
    """
    context = context or DistributedContext()
    _check_batch_size(config, engine, context)
    if context.device.type == "cpu":
        torch.set_flush_denormal(True)  # denormal numbers are about ten times slower on CPUs
    folder.mkdir(parents=True, exist_ok=True)
    trackers = Trackers(engine.report_to if context.is_main else (), folder / "tracking", callbacks.settings)
    backend = DataParallelBackend(objective, objective.layers, config, context)
    export = partial(_export_averaged, backend, callbacks.export)
    manager = CheckpointManager(folder / "checkpoints", engine.save_total_limit, export)
    first, state = manager.resume(backend.trained)
    if state is not None:
        backend.load_state_dict(state, first)
    metrics_file = folder / "metrics.jsonl" if context.is_main else None
    logger = MetricsLogger(metrics_file, first, config, trackers, callbacks.on_metrics)
    stream, done = batches(first), first
    with _catch_sigterm() as is_stop_requested:
        for step in range(first, config.max_steps):
            batch = logger.timed_next(stream)
            metrics = _run_step(backend, objective, batch, config, engine, step)
            if not all(map(math.isfinite, metrics.values())):
                raise _divergence_error(step, metrics, context.gather(batch.keys), manager.latest)
            done = step + 1
            stops = context.all_reduce_sum([float(is_stop_requested())])[0] > 0
            logger.log(done, metrics, is_last=stops)
            if stops or done % config.save_steps == 0 or done == config.max_steps:
                if context.is_main:
                    manager.save(done, backend.trained, backend.state_dict())
                context.barrier()
            if callbacks.sample is not None and engine.sample_steps and done % engine.sample_steps == 0:
                with backend.averaged_weights():
                    trackers.log_samples(callbacks.sample(done), done)
            if stops and done < config.max_steps:
                break
    trackers.finish()
    backend.apply_average()
    return done >= config.max_steps


def lr_scale_at(step: int, config: TrainerConfig) -> float:
    """Return the fraction of the peak learning rate: linear warm-up, then the decay to ``min_lr_ratio``."""
    if step < config.warmup_steps:
        return (step + 1) / config.warmup_steps
    remaining = (config.max_steps - step) / max(config.max_steps - config.warmup_steps, 1)
    if config.lr_scheduler_type == "cosine":
        remaining = (1 - math.cos(math.pi * remaining)) / 2
    return config.min_lr_ratio + (1 - config.min_lr_ratio) * remaining


def _export_averaged(backend: DataParallelBackend, export: Export, folder: Path) -> None:
    with backend.averaged_weights():
        export(folder)


def _check_batch_size(config: TrainerConfig, engine: EngineConfig, context: DistributedContext) -> None:
    if config.batch_size < context.world_size:
        raise ConfigError(
            f"fit.batch_size is {config.batch_size}, for {context.world_size} processes; expected at least one sample "
            "per process. Raise it, or start fewer processes."
        )
    if engine.sharding != "none" and config.batch_size % context.world_size:
        raise ConfigError(
            f"fit.batch_size is {config.batch_size}, for {context.world_size} processes with engine.sharding "
            f"{engine.sharding}; expected local batches of equal size, as processes wait for each other in every layer."
            " Set a multiple of the number of processes."
        )


def _divergence_error(
    step: int, metrics: Mapping[str, float], keys: Sequence[str], latest: Path | None
) -> DivergenceError:
    values = ", ".join(f"{name} {value:.4g}" for name, value in metrics.items())
    return DivergenceError(
        f"Step {step} has {values}, with the examples {', '.join(keys)}; expected finite numbers. Lower the learning "
        f"rate, or check these examples. {latest or 'No checkpoint'} holds the last state."
    )


def _run_step(
    backend: DataParallelBackend,
    objective: Objective,
    batch: LocalBatch,
    config: TrainerConfig,
    engine: EngineConfig,
    step: int,
) -> dict[str, float]:
    """Accumulate gradients and take an optimizer step unless a loss is not finite; return the metrics."""
    # Dropout and noise differ by step and process, and repeat when a step is run again.
    torch.manual_seed(config.seed * 1_000_003 + step + 2**40 * backend.context.rank)
    metrics = _accumulate_gradients(backend, objective, batch, engine.micro_batch_size)
    if all(map(math.isfinite, metrics.values())):
        metrics["gradient_norm"] = backend.step(lr_scale_at(step, config))
    return metrics


def _accumulate_gradients(
    backend: DataParallelBackend, objective: Objective, batch: LocalBatch, micro_batch_size: int | None
) -> dict[str, float]:
    """Add up the gradients of a local batch; return losses and metrics of the global batch, the sum as ``loss``."""
    context = backend.context
    names = [*objective.loss_weights, *objective.metric_names]
    local = objective.num_terms(batch)
    counts = context.all_reduce_sum([float(local.get(name, 0)) for name in names])
    totals = dict(zip(names, counts, strict=True))
    micro_batches = batch.split(micro_batch_size) if micro_batch_size else [batch]
    sums = dict.fromkeys(names, 0.0)
    for index, micro_batch in enumerate(micro_batches):
        fractions = {name: n / totals[name] for name, n in objective.num_terms(micro_batch).items() if n}
        losses = backend.backward(
            micro_batch,
            lambda losses, fractions=fractions: _total_loss(losses, fractions, objective, context),
            is_last=index == len(micro_batches) - 1,
        )
        for name, fraction in fractions.items():
            sums[name] += float(losses[name].detach()) * fraction
    means = dict(zip(names, context.all_reduce_sum([sums[name] for name in names]), strict=True))
    present = {name: means[name] for name in names if totals[name]}
    weights = objective.loss_weights
    return {"loss": float(sum(weights.get(name, 0.0) * value for name, value in present.items())), **present}


def _total_loss(
    losses: Losses, fractions: Mapping[str, float], objective: Objective, context: DistributedContext
) -> Tensor:
    """Sum the losses by weight and fraction; DDP divides by the number of processes."""
    weights = objective.loss_weights
    values = [
        context.world_size * weights[name] * fraction * losses[name].float()
        for name, fraction in fractions.items()
        if name in weights
    ]
    zero = [losses[ZERO_LOSS]] if ZERO_LOSS in losses else []
    is_complete = context.world_size == 1 and any(value.requires_grad for value in values)
    everything = [] if is_complete else [_zero_loss(objective)]
    return torch.stack([*everything, *zero, *values]).sum()


def _zero_loss(objective: Objective) -> Tensor:
    """Return zero with a gradient to every trained parameter: the same parameters in all processes."""
    return torch.stack([0.0 * p.float().sum() for p in objective.parameters() if p.requires_grad]).sum()


@contextmanager
def _catch_sigterm() -> Iterator[Callable[[], bool]]:
    """Yield a function that returns whether SIGTERM arrived. Outside the main thread it always returns False."""
    if threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return
    received: list[int] = []
    previous = signal.signal(signal.SIGTERM, lambda number, frame: received.append(number))
    try:
        yield lambda: bool(received)
    finally:
        signal.signal(signal.SIGTERM, previous)
