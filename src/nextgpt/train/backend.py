"""Gradients to optimizer steps: data parallelism, precision, clipping, optimizers and the moving average.

Independent of data, losses and checkpoints.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.optim.swa_utils import AveragedModel

from nextgpt.errors import ModelError
from nextgpt.model.cpu_speed import fastest_training_dtype
from nextgpt.train.checkpoint import TrainingState
from nextgpt.train.config import TrainerConfig
from nextgpt.train.distributed import DistributedContext
from nextgpt.train.optim import create_optimizers

Losses = Mapping[str, Tensor]


class DataParallelBackend:
    """Every process holds all trained weights and takes the same steps.

    Args:
        objective: ``local batch -> losses``, with its trained parameters.
        layers: Layers whose frozen weights may be sharded.
    """

    def __init__(
        self, objective: nn.Module, layers: Sequence[nn.Module], config: TrainerConfig, context: DistributedContext
    ) -> None:
        self.context, self.config = context, config
        self.wrapped = context.wrap(objective, layers)
        self.trained = {name: p for name, p in objective.named_parameters() if p.requires_grad}
        self.optimizers = create_optimizers(
            [objective],
            learning_rate=config.learning_rate,
            muon_learning_rate=config.muon_learning_rate,
            weight_decay=config.weight_decay,
            lr_multipliers=config.lr_multipliers,
        )
        self.peak_lrs = [[group["lr"] for group in optimizer.param_groups] for optimizer in self.optimizers]
        self.average = _create_average(self.trained, config.ema_decay) if config.ema_decay else None

    def backward(self, batch: Any, total: Callable[[Losses], Tensor], *, is_last: bool) -> Losses:
        """Add the gradient of ``total`` of a micro-batch's losses; the last one of a step synchronizes processes."""
        device = self.context.device.type
        uses_bf16 = resolve_bf16(self.config, device)
        with ExitStack() as contexts:
            if not is_last:
                contexts.enter_context(self.context.no_sync(self.wrapped))
            if uses_bf16 and device == "cpu":
                # The fused kernel takes twice as long in bfloat16 (48x4x84x48 forward and backward on one core: 91 ms;
                # 50 ms by matrix products, which run in float32). Gradient checkpointing runs forward passes in the
                # backward pass, which must choose the same kernel.
                contexts.enter_context(sdpa_kernel(SDPBackend.MATH))
            with torch.autocast(device, torch.bfloat16) if uses_bf16 else nullcontext():
                losses = self.wrapped(batch)
            total(losses).backward()
        return losses

    def step(self, lr_scale: float) -> float:
        """Apply one optimizer step at ``lr_scale`` x peak learning rate and return the gradient norm.

        Skips the step if the norm is not finite.
        """
        parameters = list(self.trained.values())
        for parameter in parameters:
            if parameter.grad is None:  # not in this batch; with several processes it might be in another's
                parameter.grad = torch.zeros_like(parameter)
        self.context.average_gradients(self.wrapped, parameters)
        norm = float(nn.utils.clip_grad_norm_(parameters, self.config.max_grad_norm))
        if math.isfinite(norm):
            for optimizer, peaks in zip(self.optimizers, self.peak_lrs, strict=True):
                for group, peak in zip(optimizer.param_groups, peaks, strict=True):
                    group["lr"] = peak * lr_scale
                optimizer.step()
            if self.average is not None:
                self.average.update_parameters(nn.ParameterList(parameters))
        for parameter in parameters:
            parameter.grad = None
        return norm

    @contextmanager
    def averaged_weights(self) -> Iterator[None]:
        """Replace the trained weights by their moving average, if there is one, within the context."""
        current = [parameter.detach().clone() for parameter in self.trained.values()] if self.average else []
        self.apply_average()
        try:
            yield
        finally:
            for parameter, value in zip(self.trained.values(), current, strict=False):
                parameter.data.copy_(value)

    def apply_average(self) -> None:
        """Replace the trained weights by their moving average, if there is one."""
        for name, value in self._averages().items():
            self.trained[name].data.copy_(value)

    def state_dict(self) -> TrainingState:
        """Return the checkpoint contents besides the trained weights."""
        return TrainingState([optimizer.state_dict() for optimizer in self.optimizers], self._averages())

    def load_state_dict(self, state: TrainingState, step: int) -> None:
        """Continue from the state after ``step`` steps.

        Raises:
            ModelError: The state has another number of optimizers, or lacks the moving average.
        """
        if len(state.optimizers) != len(self.optimizers):
            raise ModelError(
                f"The checkpoint holds {len(state.optimizers)} optimizers; expected {len(self.optimizers)}, as this "
                "recipe has. Choose another work folder, or delete it."
            )
        if self.average is not None and not state.average:
            raise ModelError(
                "The checkpoint holds no moving average; expected one, as fit.ema_decay is set. Choose another work "
                "folder, or set fit.ema_decay=null."
            )
        for optimizer, values in zip(self.optimizers, state.optimizers, strict=True):
            optimizer.load_state_dict(dict(values))
        if self.average is not None:
            for name, value in self._averages().items():
                value.copy_(state.average[name])
            self.average.n_averaged.fill_(step)

    def _averages(self) -> dict[str, Tensor]:
        averages = self.average.module.parameters() if self.average is not None else ()
        return {name: p.detach() for name, p in zip(self.trained, averages, strict=False)}


def resolve_bf16(config: TrainerConfig, device_type: str) -> bool:
    """Return ``config.bf16``, or if unset, whether bfloat16 is faster: on accelerators, and on CPUs as measured."""
    if config.bf16 is not None:
        return config.bf16
    return device_type != "cpu" or fastest_training_dtype() == "bfloat16"


def _create_average(trained: Mapping[str, nn.Parameter], decay: float) -> AveragedModel:
    """Average the trained parameters alone: a copy of the whole model would include its frozen weights."""
    average = AveragedModel(nn.ParameterList(trained.values()), multi_avg_fn=partial(_update_average, decay))
    return average.requires_grad_(False)


def _update_average(decay: float, averages: list[Tensor], current: list[Tensor], count: Tensor) -> None:
    """Update an exponential moving average, with a smaller decay in the first steps."""
    warm = (1 + int(count)) / (10 + int(count))
    torch._foreach_lerp_(averages, current, 1 - min(decay, warm))
