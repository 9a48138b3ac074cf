"""Modules with random weights, made directly in their type and place: never two copies of a weight."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

BLOCK = 2**20
"""Random numbers that are drawn; larger tensors repeat them, as drawing billions would take minutes."""


@torch.no_grad()
def filled(build: Callable[[], nn.Module], dtype: torch.dtype, device: str) -> nn.Module:
    """What ``build`` makes, directly in its type and place, with small random weights and norms of one."""
    with torch.device("meta"):
        module = build().to(dtype)
    module = module.to_empty(device=device).eval().requires_grad_(False)
    block = torch.randn(BLOCK, device=device, dtype=dtype) * 0.02
    for name, parameter in module.named_parameters():
        if parameter.ndim < 2:
            parameter.fill_(0.0 if name.endswith("bias") else 1.0)
        else:
            _repeat(block, parameter)
    for buffer in module.buffers():
        buffer.zero_()
    return module


def _repeat(block: Tensor, target: Tensor) -> None:
    flat = target.view(-1)
    for part in flat.split(len(block)):
        part.copy_(block[: len(part)])
