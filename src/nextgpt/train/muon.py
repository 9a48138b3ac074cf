"""Muon that orthogonalizes all matrices of one shape as a batch.

:class:`torch.optim.Muon` processes matrices one by one; for the small matrices trained here, the calls then cost as
much as the arithmetic. State and settings are torch's.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from nextgpt.model.cpu_speed import fastest_training_dtype


class BatchedMuon(torch.optim.Muon):
    """:class:`torch.optim.Muon` with its original learning-rate adjustment, equal up to rounding of bfloat16.

    Matrices whose gradient is zero stay unchanged: a batch of images alone does not move the projection of videos.
    """

    @torch.no_grad()
    def step(self, closure: None = None) -> None:
        """Apply one step; skip matrices without a gradient or with a gradient of zero."""
        assert closure is None, "losses are computed before the step; torch.optim.Muon takes closures"
        for group in self.param_groups:
            by_shape: dict[torch.Size, list[Tensor]] = {}
            for matrix in _with_gradient(group["params"]):
                by_shape.setdefault(matrix.shape, []).append(matrix)
            for matrices in by_shape.values():
                self._step(matrices, group)

    def _step(self, matrices: Sequence[Tensor], group: dict[str, Any]) -> None:
        gradients = [matrix.grad for matrix in matrices]
        momenta = [self._momentum(matrix) for matrix in matrices]
        torch._foreach_lerp_(momenta, gradients, 1 - group["momentum"])
        updates = torch._foreach_lerp(gradients, momenta, group["momentum"]) if group["nesterov"] else momenta
        updates = newton_schulz(torch.stack(updates), group["ns_coefficients"], group["ns_steps"], group["eps"])
        rows, columns = matrices[0].shape
        torch._foreach_mul_(matrices, 1 - group["lr"] * group["weight_decay"])
        lr = group["lr"] * math.sqrt(max(1, rows / columns))
        torch._foreach_add_(matrices, list(updates.to(matrices[0].dtype)), alpha=-lr)

    def _momentum(self, matrix: Tensor) -> Tensor:
        state = self.state[matrix]
        if not state:
            state["momentum_buffer"] = torch.zeros_like(matrix)
        return state["momentum_buffer"]


def _with_gradient(matrices: Sequence[Tensor]) -> list[Tensor]:
    """Return the matrices whose gradient is not zero."""
    candidates = [matrix for matrix in matrices if matrix.grad is not None]
    if not candidates:
        return []
    norms = torch.stack(torch._foreach_norm([matrix.grad for matrix in candidates], torch.inf)).tolist()
    return [matrix for matrix, norm in zip(candidates, norms, strict=True) if norm != 0]


def _iteration_dtype(device: torch.device) -> torch.dtype:
    if device.type == "cpu" and fastest_training_dtype() == "float32":
        return torch.float32
    return torch.bfloat16


def newton_schulz(
    matrices: Float[Tensor, "n a b"], coefficients: tuple[float, float, float], steps: int, eps: float
) -> Float[Tensor, "n a b"]:
    """Return matrices with all singular values near 1 by the Newton-Schulz iteration of Muon.

    The iteration needs no more than bfloat16. Processors without instructions for it are faster in float32: on an AMD
    EPYC with AVX2 the optimizer took half of nano's training step in bfloat16.

    Args:
        eps: Frobenius norm below which a matrix counts as zero.
    """
    a, b, c = coefficients
    is_tall = matrices.shape[1] > matrices.shape[2]
    matrices = matrices.to(_iteration_dtype(matrices.device))
    x = matrices.mT if is_tall else matrices
    x = x / x.norm(dim=(1, 2), keepdim=True).clamp(min=eps)
    for _ in range(steps):
        gram = x @ x.mT
        x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return x.mT if is_tall else x
