"""How precisely a run computes: autocast, and for float16 the scale that keeps small gradients from vanishing.

Weights, optimizers and sums of gradients stay in float32. The scale is part of a run's state: it is saved and resumed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn

from nextgpt.train.fit import TrainerConfig, resolve_bf16

GROWS_AFTER = 2000
"""Finite steps after which the scale is doubled, as torch's scaler does."""
FIRST_SCALE = 2.0**16


class Precision:
    """Autocast of a run, and its loss scale where it computes in float16.

    torch's own ``GradScaler`` asks optimizers for their parameters' gradients, which Muon here holds as matrices.
    """

    def __init__(self, config: TrainerConfig, device: torch.device) -> None:
        self.device = device
        self.dtype = (
            torch.float16 if config.fp16 else torch.bfloat16 if resolve_bf16(config, device.type) else None
        )
        self.is_scaled = config.fp16
        self.scale = FIRST_SCALE if config.fp16 else 1.0
        self.finite_steps = 0

    def autocast(self) -> AbstractContextManager:
        """Within it matrix products are of the run's type."""
        return torch.autocast(self.device.type, self.dtype) if self.dtype else nullcontext()

    def scaled(self, loss: Tensor) -> Tensor:
        """What is differentiated in place of a loss."""
        return loss * self.scale if self.is_scaled else loss

    @torch.no_grad()
    def unscale(self, trained: Iterable[nn.Parameter]) -> bool:
        """Take the scale out of gradients again; return whether they are finite, so that a step may be taken."""
        if not self.is_scaled:
            return True
        gradients = [parameter.grad for parameter in trained if parameter.grad is not None]
        torch._foreach_mul_(gradients, 1.0 / self.scale)
        is_finite = all(bool(gradient.isfinite().all()) for gradient in gradients)
        self.finite_steps = self.finite_steps + 1 if is_finite else 0
        if not is_finite:
            self.scale /= 2
        elif self.finite_steps % GROWS_AFTER == 0:
            self.scale *= 2
        return is_finite

    def state(self) -> dict[str, Any]:
        """What a resumed run must know."""
        return {"scale": self.scale, "finite_steps": self.finite_steps}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from :meth:`state`."""
        self.scale, self.finite_steps = state["scale"], state["finite_steps"]
