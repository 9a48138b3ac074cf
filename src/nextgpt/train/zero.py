"""DeepSpeed's ZeRO-2: gradients and the optimizer's state in slices, one for each process.

What is trained is about 1 % of a model, so it saves little beside ``fsdp2``, which shards the frozen weights; it is
here for clusters that run on DeepSpeed. Checkpoints are the same folders as ever, without pickles.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from nextgpt.errors import ConfigError, ModelError
from nextgpt.train.checkpoints import Saved
from nextgpt.train.fit import TrainerConfig
from nextgpt.train.optimizers import create_optimizers
from nextgpt.train.precision import Precision
from nextgpt.train.processes import Processes
from nextgpt.train.stepping import Losses, set_rates


def zero_config(config: TrainerConfig, world: int) -> dict[str, Any]:
    """What DeepSpeed is told; gradients of several parts are added up by :meth:`Zero.add_gradient`, so it knows of one.

    Raises:
        ConfigError: the settings ask for what does not go with ZeRO.
    """
    if config.fp16 or config.muon_learning_rate is not None or config.batch_size % world:
        raise ConfigError(
            f"engine.sharding is zero2 with fp16 {config.fp16}, muon_learning_rate {config.muon_learning_rate} and "
            f"batch_size {config.batch_size} for {world} processes; expected neither fp16 nor Muon, and a batch that "
            "the processes share evenly. Correct these, or take fsdp2."
        )
    return {
        "train_batch_size": config.batch_size,
        "train_micro_batch_size_per_gpu": config.batch_size // world,
        "gradient_accumulation_steps": 1,
        "gradient_clipping": config.max_grad_norm,
        "zero_optimization": {"stage": 2},
        "zero_allow_untested_optimizer": True,
        "zero_force_ds_cpu_optimizer": False,
    }


class Zero:
    """Every process has all weights, and a slice of gradients and optimizer; see :class:`.stepping.Stepper`."""

    def __init__(self, objective: nn.Module, config: TrainerConfig, processes: Processes) -> None:
        settings = zero_config(config, processes.world_size)
        if importlib.util.find_spec("deepspeed") is None:
            raise ConfigError(
                "engine.sharding is zero2, and DeepSpeed is not installed; expected it. Install it "
                "(pip install --no-build-isolation deepspeed), or take fsdp2."
            )
        import deepspeed

        self.processes = processes
        self.precision = Precision(config, processes.device)
        (optimizer,) = create_optimizers(
            [objective],
            learning_rate=config.learning_rate,
            muon_learning_rate=None,
            weight_decay=config.weight_decay,
            rate_shares=config.lr_multipliers,
        )
        # DeepSpeed takes no empty group, as one of vectors is where matrices alone are trained.
        optimizer.param_groups[:] = [group for group in optimizer.param_groups if group["params"]]
        self.engine, self.optimizer, *_ = deepspeed.initialize(
            model=objective.to(processes.device),
            optimizer=optimizer,
            config=settings,
            dist_init_required=False,
        )
        self.trained = [parameter for parameter in objective.parameters() if parameter.requires_grad]
        self.peaks = [group["lr"] for group in self.optimizer.param_groups]

    def add_gradient(self, part: Any, total: Callable[[Losses], Tensor], *, is_last: bool) -> Losses:
        """Add the gradient of a part."""
        self.engine.set_gradient_accumulation_boundary(is_last)
        with self.precision.autocast():
            losses = self.engine.module(
                part
            )  # not through the engine, which would take this for its backward pass
        found = torch.autograd.grad(total(losses), self.trained, allow_unused=True)
        self.engine.backward(_having_gradients(self.trained, found))
        return losses

    def step(self, rate: float) -> dict[str, float]:
        """Take a step; DeepSpeed clips and takes it at once, so a gradient that is no number is known afterwards."""
        set_rates(self.optimizer.param_groups, self.peaks, rate)
        self.engine.step()
        return {"gradient_norm": float(self.engine.get_global_grad_norm())}

    def saved(self) -> Saved | None:
        """The slices of all processes, in the main one."""
        slices: list[Any] | None = [None] * self.processes.world_size if self.processes.is_main else None
        dist.gather_object(self.optimizer.optimizer.state_dict(), slices)
        return None if slices is None else Saved(slices, {})

    def resume(self, saved: Saved) -> None:
        """Take up this process's slice, after the weights were read."""
        if len(saved.optimizers) != self.processes.world_size:
            raise ModelError(
                f"The checkpoint holds an optimizer in {len(saved.optimizers)} slices, for {self.processes.world_size} "
                "processes; expected as many. Start as many processes as wrote it."
            )
        self.optimizer.optimizer.load_state_dict(saved.optimizers[self.processes.rank])
        self.optimizer.refresh_fp32_params()


def _having_gradients(trained: Sequence[Tensor], found: Sequence[Tensor | None]) -> Tensor:
    """A sum whose gradients are these, and zeros where there are none.

    DeepSpeed brings gradients together in the order in which they come, and leaves out those that do not: processes
    whose examples hold other modalities would add up the gradients of different weights.
    """
    products = [
        (weight * (torch.zeros_like(weight) if gradient is None else gradient)).sum()
        for weight, gradient in zip(trained, found, strict=True)
    ]
    return torch.stack(products).sum()
