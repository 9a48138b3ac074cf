"""Modules with random weights, made directly in their type and place: never two copies of a weight."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn

from nextgpt.errors import ModelError

BLOCK = 2**20
"""Random numbers that are drawn; larger tensors repeat them, as drawing billions would take minutes."""


@torch.no_grad()
def random_module(build: Callable[[], nn.Module], dtype: torch.dtype, device: str) -> nn.Module:
    """What ``build`` makes, directly in its type and place, with small random weights and norms of one."""
    with torch.device("meta"):
        module = build().to(dtype)
    _check_room(module, device)
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


def _check_room(module: nn.Module, device: str) -> None:
    """Raise :class:`ModelError` where the machine has no room, before it takes what others need."""
    needed = sum(tensor.nbytes for tensor in (*module.parameters(), *module.buffers()))
    if device == "cpu" and needed > (free := available_bytes()):
        raise ModelError(
            f"{type(module).__name__} takes {needed / 1e9:.1f} GB; {free / 1e9:.1f} GB of memory are free. End other "
            "programs, or take a machine with more."
        )


def available_bytes() -> int:
    """What programs can have without swapping, as Linux tells it."""
    lines = Path("/proc/meminfo").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable"))


def _repeat(block: Tensor, target: Tensor) -> None:
    flat = target.view(-1)
    for part in flat.split(len(block)):
        part.copy_(block[: len(part)])
