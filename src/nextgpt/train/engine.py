"""The loop for corpora: one process or many give the same curve, and a run that is stopped goes on bit-equal.

Batches are of the global size whatever the number of processes; each takes its share. Losses that are means, over
words or over media, are weighted by how many each share holds, so averaging gradients gives the gradient of the whole.
The loop knows nothing of what is trained: it is given an objective and batches.
"""

from __future__ import annotations

import math
import signal
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from nextgpt.errors import ConfigError
from nextgpt.message import Part
from nextgpt.train.checkpoints import Checkpoints, Export
from nextgpt.train.fit import DivergenceError, TrainerConfig, lr_scale_at
from nextgpt.train.processes import Processes, gathered
from nextgpt.train.settings import EngineConfig
from nextgpt.train.stepping import Losses, Stepper, Whole
from nextgpt.train.tracking import Log, Trackers

ZERO_LOSS = "nothing"
"""Zero, by way of all sharded layers: a gradient goes through them in every process, whatever its share holds."""


@runtime_checkable
class LocalBatch(Protocol):
    """A process's share of a batch."""

    keys: tuple[str, ...]
    """Names of its examples, for messages."""

    def split(self, size: int) -> Sequence[Any]:
        """Parts of at most ``size`` examples."""
        ...


class Objective(nn.Module):
    """What is minimised: a weighted sum of means."""

    loss_weights: Mapping[str, float]
    """By the name of each loss."""
    layers: Sequence[nn.Module] = ()
    """Layers whose frozen weights may be sharded."""

    def num_terms(self, share: LocalBatch) -> dict[str, int]:
        """Over how many terms each loss is a mean, in this share."""
        raise NotImplementedError

    def forward(self, share: LocalBatch) -> dict[str, Tensor]:
        """Each loss that has terms in this share, as a mean over them; and :data:`NOTHING`, where it is needed."""
        raise NotImplementedError


@dataclass(frozen=True)
class Callbacks:
    """What else is done on the way."""

    export: Export = lambda folder: None
    """Writes more into every checkpoint."""
    sample: Callable[[int], Mapping[str, Sequence[Part]]] | None = None
    """Lets what is trained show itself after so many steps: what it made, by name."""
    on_metrics: Callable[[dict[str, float]], None] | None = None
    """Told every line of metrics."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """Settings that trackers keep."""


def train(
    objective: Objective,
    shares: Callable[[int], Iterator[LocalBatch]],
    config: TrainerConfig,
    engine: EngineConfig,
    folder: Path,
    *,
    processes: Processes,
    hooks: Callbacks = Callbacks(),
) -> bool:
    """Train the trainable parameters of ``objective``; go on from the latest checkpoint in ``folder``.

    Args:
        shares: ``first step -> shares`` of this process, step by step, a function of the step alone.

    Returns:
        Whether all steps are done; not, where SIGTERM asked to stop, after which a checkpoint was written.

    Raises:
        Divergence: a loss or a gradient is no number; names the examples of the batch.
        ConfigError: the settings ask for what this loop has not.
    """
    _check(config, engine, processes)
    folder.mkdir(parents=True, exist_ok=True)
    trackers = Trackers(engine.report_to if processes.is_main else (), folder / "tracking", hooks.settings)
    stepper = _stepper(objective, config, engine, processes)
    trained = {name: p for name, p in objective.named_parameters() if p.requires_grad}
    checkpoints = Checkpoints(folder / "checkpoints", engine.save_total_limit, hooks.export)
    first, saved = checkpoints.resume(trained)
    if saved is not None:
        stepper.resume(saved)
    log = Log(
        folder / "metrics.jsonl" if processes.is_main else None, first, config, trackers, hooks.on_metrics
    )
    stream, done = shares(first), first
    with _catch_sigterm() as is_asked_to_stop:
        for step in range(first, config.max_steps):
            share = log.waited(lambda: next(stream))
            told = _accumulate_gradients(stepper, objective, share, config, engine, step, processes)
            if _is_finite(told):
                told |= stepper.step(lr_scale_at(step, config))
            if not _is_finite(told) or told.get("loss_scale", 1) < 1:
                raise _divergence(step, told, processes.gather(share.keys), checkpoints.latest)
            done = step + 1
            stops = processes.all_reduce_sum([float(is_asked_to_stop())])[0] > 0
            log.tell(done, told, is_last=stops)
            if stops or done % config.save_steps == 0 or done == config.max_steps:
                if (state := stepper.saved()) is not None:
                    checkpoints.save(done, trained, state)
                processes.wait()
            if hooks.sample is not None and engine.sample_steps and done % engine.sample_steps == 0:
                trackers.show(hooks.sample(done), done)
            if stops and done < config.max_steps:
                break
    trackers.finish()
    return done >= config.max_steps


def _stepper(
    objective: Objective, config: TrainerConfig, engine: EngineConfig, processes: Processes
) -> Stepper:
    if engine.sharding == "zero2" and processes.world_size > 1:
        from nextgpt.train.zero import Zero

        return Zero(objective, config, processes)
    return Whole(objective, objective.layers, config, processes)


def _is_finite(told: Mapping[str, float]) -> bool:
    return all(map(math.isfinite, told.values()))


def _check(config: TrainerConfig, engine: EngineConfig, processes: Processes) -> None:
    if config.ema_decay is not None:
        raise ConfigError("fit.ema_decay is set; this loop keeps no average of weights. Leave it out.")
    if config.batch_size < processes.world_size:
        raise ConfigError(
            f"fit.batch_size is {config.batch_size}, for {processes.world_size} processes; expected at least one example "
            "for each. Raise it, or start fewer."
        )
    if engine.sharding != "none" and config.batch_size % processes.world_size:
        raise ConfigError(
            f"fit.batch_size is {config.batch_size}, for {processes.world_size} processes with engine.sharding "
            f"{engine.sharding}; expected shares of one size, as processes wait for each other in every layer. "
            "Take a multiple of their number."
        )


def _divergence(
    step: int, told: Mapping[str, float], keys: Sequence[str], latest: Path | None
) -> DivergenceError:
    values = ", ".join(f"{name} {value:.4g}" for name, value in told.items())
    return DivergenceError(
        f"Step {step} has {values}, with the examples {', '.join(keys)}; expected finite numbers. Lower the learning "
        f"rate, or look at these examples. {latest or 'No checkpoint'} holds the last state."
    )


def _accumulate_gradients(
    stepper: Stepper,
    objective: Objective,
    share: LocalBatch,
    config: TrainerConfig,
    engine: EngineConfig,
    step: int,
    processes: Processes,
) -> dict[str, float]:
    """Add up the gradients of a share; return the losses of the whole batch under their names and ``loss``."""
    names = list(objective.loss_weights)
    own = objective.num_terms(share)
    totals = dict(
        zip(names, processes.all_reduce_sum([float(own.get(name, 0)) for name in names]), strict=True)
    )
    parts = share.split(engine.micro_batch_size) if engine.micro_batch_size else [share]
    # Dropout of every step and process is its own, and the same when the step is run again.
    torch.manual_seed(config.seed * 1_000_003 + step + 2**40 * processes.rank)
    seen = [0.0] * len(names)
    for position, part in enumerate(parts):
        terms = objective.num_terms(part)
        shares = {name: count / totals[name] for name, count in terms.items() if count}

        def total(losses: Losses, shares: Mapping[str, float] = shares) -> Tensor:
            weights = {
                name: processes.world_size * objective.loss_weights[name] * part
                for name, part in shares.items()
            }
            values = [weights[name] * losses[name].float() for name in shares]
            nothing = [losses[ZERO_LOSS]] if ZERO_LOSS in losses else []
            is_learned = any(value.requires_grad for value in values)
            everything = [] if is_learned and processes.world_size == 1 else [_zero_loss(objective)]
            return torch.stack([*everything, *nothing, *values]).sum()

        losses = stepper.add_gradient(part, total, is_last=position == len(parts) - 1)
        weighted = {name: losses[name] * part for name, part in shares.items()}
        seen = [a + b for a, b in zip(seen, gathered(weighted, names), strict=True)]
    means = dict(zip(names, processes.all_reduce_sum(seen), strict=True))
    present = {name: means[name] for name in names if totals[name]}
    return {
        "loss": float(sum(objective.loss_weights[name] * value for name, value in present.items())),
        **present,
    }


def _zero_loss(objective: Objective) -> Tensor:
    """Zero, by way of everything trained: a gradient for it whatever shares hold, and the same in every process."""
    return torch.stack([0.0 * p.float().sum() for p in objective.parameters() if p.requires_grad]).sum()


@contextmanager
def _catch_sigterm() -> Iterator[Callable[[], bool]]:
    """Yield what tells whether SIGTERM came; it then ends no process by itself. Only a main thread can be told."""
    if threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return
    asked: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, frame: asked.append(number))
    try:
        yield lambda: bool(asked)
    finally:
        signal.signal(signal.SIGTERM, before)
