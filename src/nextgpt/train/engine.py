"""The loop for corpora: one process or many give the same curve, and a run that is stopped goes on bit-equal.

Batches are of the global size whatever the number of processes; each takes its share. Losses that are means, over
words or over media, are weighted by how many each share holds, so averaging gradients gives the gradient of the whole.
The loop knows nothing of what is trained: it is given an objective and batches.
"""

from __future__ import annotations

import json
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from nextgpt.errors import ConfigError
from nextgpt.train.checkpoints import Checkpoints, Export
from nextgpt.train.fit import Divergence, FitConfig, forget_metrics_after, rate_at
from nextgpt.train.optimizers import create_optimizers
from nextgpt.train.processes import Processes, gathered
from nextgpt.train.settings import EngineConfig


@runtime_checkable
class Share(Protocol):
    """A process's share of a batch."""

    keys: tuple[str, ...]
    """Names of its examples, for messages."""

    def split(self, size: int) -> Sequence[Any]:
        """Parts of at most ``size`` examples."""
        ...


class Objective(nn.Module):
    """What is minimised: a weighted sum of means."""

    weights: Mapping[str, float]
    """By the name of each loss."""
    layers: Sequence[nn.Module] = ()
    """Layers whose frozen weights may be sharded."""

    def terms(self, share: Share) -> dict[str, int]:
        """Over how many terms each loss is a mean, in this share."""
        raise NotImplementedError

    def forward(self, share: Share) -> dict[str, Tensor]:
        """Each loss that has terms in this share, as a mean over them."""
        raise NotImplementedError


def run(
    objective: Objective,
    shares: Callable[[int], Iterator[Share]],
    config: FitConfig,
    engine: EngineConfig,
    folder: Path,
    *,
    processes: Processes,
    export: Export = lambda folder: None,
    report: Callable[[dict[str, float]], None] | None = None,
) -> bool:
    """Train the trainable parameters of ``objective``; go on from the latest checkpoint in ``folder``.

    Args:
        shares: ``first step -> shares`` of this process, step by step, a function of the step alone.
        export: writes more into every checkpoint.

    Returns:
        Whether all steps are done; not, where SIGTERM asked to stop, after which a checkpoint was written.

    Raises:
        Divergence: the loss is no number; names the examples of the batch.
        ConfigError: the settings ask for what this loop has not.
    """
    _check(config, processes)
    folder.mkdir(parents=True, exist_ok=True)
    spread = processes.wrap(objective, objective.layers)
    trained = {name: p for name, p in objective.named_parameters() if p.requires_grad}
    optimizers = create_optimizers(
        [objective],
        learning_rate=config.learning_rate,
        muon_learning_rate=config.muon_learning_rate,
        weight_decay=config.weight_decay,
    )
    peaks = [[group["lr"] for group in optimizer.param_groups] for optimizer in optimizers]
    checkpoints = Checkpoints(folder / "checkpoints", engine.keep_checkpoints, export)
    first = checkpoints.resume(trained, optimizers)
    log = _Log(folder / "metrics.jsonl" if processes.is_main else None, first, config, report)
    stream = shares(first)
    with _stopping() as is_asked_to_stop:
        for step in range(first, config.steps):
            share = log.waited(lambda: next(stream))
            losses = _gradients(spread, objective, share, config, engine, step, processes)
            if not all(map(_is_finite, losses.values())):
                raise Divergence(
                    f"The losses are {losses} at step {step}, with the examples {', '.join(share.keys[:8])}; expected "
                    f"finite ones. Lower the learning rate, or look at them. {checkpoints.latest} holds the last state."
                )
            processes.average_gradients(spread, trained)
            norm = nn.utils.clip_grad_norm_(trained.values(), config.clip_norm)
            _step(optimizers, peaks, rate_at(step, config))
            for parameter in trained.values():
                parameter.grad = None
            done = step + 1
            stops = processes.sum([float(is_asked_to_stop())])[0] > 0
            log.tell(done, losses | {"gradient_norm": float(norm)}, is_last=stops)
            if stops or done % config.save_every == 0 or done == config.steps:
                if processes.is_main:
                    checkpoints.save(done, trained, optimizers)
                processes.wait()
            if stops and done < config.steps:
                return False
    return True


def _check(config: FitConfig, processes: Processes) -> None:
    if config.ema_decay is not None:
        raise ConfigError("fit.ema_decay is set; this loop keeps no average of weights. Leave it out.")
    if config.batch_size < processes.world:
        raise ConfigError(
            f"fit.batch_size is {config.batch_size}, for {processes.world} processes; expected at least one example "
            "for each. Raise it, or start fewer."
        )


def _gradients(
    spread: nn.Module,
    objective: Objective,
    share: Share,
    config: FitConfig,
    engine: EngineConfig,
    step: int,
    processes: Processes,
) -> dict[str, float]:
    """Add up the gradients of a share; return the losses of the whole batch under their names and ``loss``."""
    names = list(objective.weights)
    own = objective.terms(share)
    totals = dict(zip(names, processes.sum([float(own.get(name, 0)) for name in names]), strict=True))
    parts = share.split(engine.micro_batch) if engine.micro_batch else [share]
    # Dropout of every step and process is its own, and the same when the step is run again.
    torch.manual_seed(config.seed * 1_000_003 + step + 2**40 * processes.rank)
    seen = [0.0] * len(names)
    for position, part in enumerate(parts):
        terms = objective.terms(part)
        is_last = position == len(parts) - 1
        with nullcontext() if is_last else processes.no_sync(spread):
            with _autocast(config, processes):
                losses = spread(part)
            weighted = {name: value * (terms[name] / totals[name]) for name, value in losses.items()}
            total = torch.stack([objective.weights[name] * value.float() for name, value in weighted.items()]).sum()
            (total * processes.world + _nothing(objective)).backward()
        seen = [a + b for a, b in zip(seen, gathered(weighted, names), strict=True)]
    means = dict(zip(names, processes.sum(seen), strict=True))
    present = {name: means[name] for name in names if totals[name]}
    return {"loss": sum(objective.weights[name] * value for name, value in present.items()), **present}


def _nothing(objective: Objective) -> Tensor:
    """Zero, by way of everything trained: what a batch has no use for gets a gradient of zero in every process."""
    return torch.stack([0.0 * p.float().sum() for p in objective.parameters() if p.requires_grad]).sum()


def _autocast(config: FitConfig, processes: Processes) -> torch.autocast | nullcontext:
    return torch.autocast(processes.device.type, torch.bfloat16) if config.bf16 else nullcontext()


def _step(optimizers: Sequence[torch.optim.Optimizer], peaks: Sequence[Sequence[float]], scale: float) -> None:
    for optimizer, rates in zip(optimizers, peaks, strict=True):
        for group, peak in zip(optimizer.param_groups, rates, strict=True):
            group["lr"] = peak * scale
        optimizer.step()


def _is_finite(value: float) -> bool:
    return value == value and abs(value) != float("inf")


@contextmanager
def _stopping() -> Iterator[Callable[[], bool]]:
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


class _Log:
    """Metrics as JSON lines and to whoever watches; measures the share of time that is spent on waiting for data."""

    def __init__(
        self, path: Path | None, first: int, config: FitConfig, report: Callable[[dict[str, float]], None] | None
    ) -> None:
        self.path, self.config, self.report = path, config, report
        self.started, self.last, self.waiting_s = time.monotonic(), first, 0.0
        if path is not None:
            forget_metrics_after(first, path)

    def waited(self, take: Callable[[], Share]) -> Share:
        """What ``take`` gives; the time that it takes is remembered."""
        started = time.monotonic()
        share = take()
        self.waiting_s += time.monotonic() - started
        return share

    def tell(self, done: int, values: Mapping[str, float], *, is_last: bool) -> None:
        """Write a line every ``log_every`` steps and at the end; the main process alone has a path to write to."""
        is_due = done % self.config.log_every == 0 or done == self.config.steps or is_last
        if self.path is None or not is_due:
            return
        now = time.monotonic()
        seconds = max(now - self.started, 1e-9)
        line = {
            **values,
            "step": done,
            "samples_per_s": (done - self.last) * self.config.batch_size / seconds,
            "waiting_share": self.waiting_s / seconds,
        }
        self.started, self.last, self.waiting_s = now, done, 0.0
        with self.path.open("a") as metrics:
            metrics.write(json.dumps(line) + "\n")
        if self.report is not None:
            self.report(line)
