"""How gradients become a step: in one process, by DDP or with weights that FSDP2 shards. :mod:`.zero` does it by
DeepSpeed. A stepper owns optimizers and precision, and knows nothing of data, losses or when to save.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from nextgpt.errors import ModelError
from nextgpt.train.checkpoints import Saved
from nextgpt.train.fit import TrainerConfig
from nextgpt.train.optimizers import create_optimizers
from nextgpt.train.precision import Precision
from nextgpt.train.processes import Processes

Losses = Mapping[str, Tensor]


@runtime_checkable
class Stepper(Protocol):
    """What the loop asks of whatever trains."""

    def add_gradient(self, part: Any, total: Callable[[Losses], Tensor], *, is_last: bool) -> Losses:
        """Add the gradient of the ``total`` of a part's losses; the last part of a step brings processes together."""
        ...

    def step(self, rate: float) -> dict[str, float]:
        """Take a step at a share of the peak rates, and tell how long the gradient was; none at one that is no number,
        where that can be known before."""
        ...

    def saved(self) -> Saved | None:
        """What a checkpoint holds beside weights, in the main process; all must be here."""
        ...

    def resume(self, saved: Saved) -> None:
        """Go on from it."""
        ...


class Whole:
    """Every process has all that is trained and steps alike.

    Args:
        objective: ``share -> losses``, with its trained parameters.
    """

    def __init__(
        self, objective: nn.Module, layers: Sequence[nn.Module], config: TrainerConfig, processes: Processes
    ) -> None:
        self.processes, self.config = processes, config
        self.spread = processes.wrap(objective, layers)
        self.trained = {name: p for name, p in objective.named_parameters() if p.requires_grad}
        self.optimizers = create_optimizers(
            [objective],
            learning_rate=config.learning_rate,
            muon_learning_rate=config.muon_learning_rate,
            weight_decay=config.weight_decay,
            rate_shares=config.lr_multipliers,
        )
        self.peaks = [[group["lr"] for group in optimizer.param_groups] for optimizer in self.optimizers]
        self.precision = Precision(config, processes.device)

    def add_gradient(self, part: Any, total: Callable[[Losses], Tensor], *, is_last: bool) -> Losses:
        """See :meth:`Stepper.add_gradient`."""
        with nullcontext() if is_last else self.processes.no_sync(self.spread):
            with self.precision.autocast():
                losses = self.spread(part)
            self.precision.scaled(total(losses)).backward()
        return losses

    def step(self, rate: float) -> dict[str, float]:
        """See :meth:`Stepper.step`. Where float16's scale was too large, the step is left out and the norm 0."""
        for parameter in self.trained.values():
            if parameter.grad is None:  # the batch has no use for it, as with several processes
                parameter.grad = torch.zeros_like(parameter)
        self.processes.average_gradients(self.spread, self.trained)
        is_usable = self.precision.unscale(self.trained.values())
        norm = (
            float(nn.utils.clip_grad_norm_(self.trained.values(), self.config.max_grad_norm))
            if is_usable
            else 0.0
        )
        if is_usable and math.isfinite(norm):
            for optimizer, rates in zip(self.optimizers, self.peaks, strict=True):
                set_rates(optimizer.param_groups, rates, rate)
                optimizer.step()
        for parameter in self.trained.values():
            parameter.grad = None
        return {"gradient_norm": norm} | ({"loss_scale": self.precision.scale} if self.config.fp16 else {})

    def saved(self) -> Saved | None:
        """See :meth:`Stepper.saved`."""
        states = [optimizer.state_dict() for optimizer in self.optimizers]
        return Saved(states, self.precision.state()) if self.processes.is_main else None

    def resume(self, saved: Saved) -> None:
        """See :meth:`Stepper.resume`. Raises :class:`ModelError` for the state of another number of optimizers."""
        if len(saved.optimizers) != len(self.optimizers):
            raise ModelError(
                f"The checkpoint holds {len(saved.optimizers)} optimizers, or slices of one; expected "
                f"{len(self.optimizers)}, as this recipe has. Choose another work folder, or delete it."
            )
        for optimizer, state in zip(self.optimizers, saved.optimizers, strict=True):
            optimizer.load_state_dict(state)
        self.precision.restore(saved.more)


def set_rates(groups: Sequence[dict[str, Any]], peaks: Sequence[float], rate: float) -> None:
    """Set the learning rate of each group to a share of its peak."""
    for group, peak in zip(groups, peaks, strict=True):
        group["lr"] = peak * rate
