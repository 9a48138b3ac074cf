"""Muon that orthogonalises all matrices of one shape side by side.

:class:`torch.optim.Muon` takes them one after another; of the small matrices that are trained here, calls then cost
as much as what they compute. State and settings are torch's.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor


class StackedMuon(torch.optim.Muon):
    """As :class:`torch.optim.Muon` with its own adjustment of rates, up to the rounding of bfloat16.

    But what a batch says nothing about stays as it is: of a batch of pictures alone, the projection of videos.
    """

    @torch.no_grad()
    def step(self, closure: None = None) -> None:
        """Take a step; matrices without a gradient, or with a gradient of zero, stay as they are."""
        assert closure is None, "losses are computed before; see torch.optim.Muon for a step that does it"
        for group in self.param_groups:
            of_shape: dict[torch.Size, list[Tensor]] = {}
            for matrix in _concerned(group["params"]):
                of_shape.setdefault(matrix.shape, []).append(matrix)
            for matrices in of_shape.values():
                self._step(matrices, group)

    def _step(self, matrices: Sequence[Tensor], group: dict[str, Any]) -> None:
        gradients = [matrix.grad for matrix in matrices]
        momenta = [self._momentum(matrix) for matrix in matrices]
        torch._foreach_lerp_(momenta, gradients, 1 - group["momentum"])
        updates = torch._foreach_lerp(gradients, momenta, group["momentum"]) if group["nesterov"] else momenta
        updates = orthogonal(torch.stack(updates), group["ns_coefficients"], group["ns_steps"], group["eps"])
        rows, columns = matrices[0].shape
        torch._foreach_mul_(matrices, 1 - group["lr"] * group["weight_decay"])
        rate = group["lr"] * math.sqrt(max(1, rows / columns))
        torch._foreach_add_(matrices, list(updates.to(matrices[0].dtype)), alpha=-rate)

    def _momentum(self, matrix: Tensor) -> Tensor:
        state = self.state[matrix]
        if not state:
            state["momentum_buffer"] = torch.zeros_like(matrix)
        return state["momentum_buffer"]


def _concerned(matrices: Sequence[Tensor]) -> list[Tensor]:
    """Those with a gradient that is not zero."""
    known = [matrix for matrix in matrices if matrix.grad is not None]
    if not known:
        return []
    norms = torch.stack(torch._foreach_norm([matrix.grad for matrix in known], torch.inf)).tolist()
    return [matrix for matrix, norm in zip(known, norms, strict=True) if norm != 0]


def orthogonal(
    matrices: Float[Tensor, "n a b"], coefficients: tuple[float, float, float], steps: int, least: float
) -> Float[Tensor, "n a b"]:
    """Matrices with all singular values near 1, in bfloat16, by the Newton-Schulz iteration of Muon.

    Args:
        least: The Frobenius norm below which a matrix counts as zero.
    """
    first, second, third = coefficients
    is_tall = matrices.shape[1] > matrices.shape[2]
    found = matrices.bfloat16().mT if is_tall else matrices.bfloat16()
    found = found / found.norm(dim=(1, 2), keepdim=True).clamp(min=least)
    for _ in range(steps):
        gram = found @ found.mT
        found = torch.baddbmm(
            found, torch.baddbmm(gram, gram, gram, beta=second, alpha=third), found, beta=first
        )
    return found.mT if is_tall else found
