"""Modules with random weights, allocated directly in their dtype and on their device, never copied."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch
from torch import nn

from nextgpt.errors import ModelError

BLOCK = 2**20
"""Random numbers that are drawn; larger tensors repeat them, since drawing billions would take minutes."""


@torch.no_grad()
def random_module(build: Callable[[], nn.Module], dtype: torch.dtype, device: str) -> nn.Module:
    """Build a module and fill it with small random weights; norm weights are one."""
    with torch.device("meta"):
        module = build().to(dtype)
    _check_memory(module, device)
    module = module.to_empty(device=device).eval().requires_grad_(False)
    block = torch.randn(BLOCK, device=device, dtype=dtype) * 0.02
    for name, parameter in module.named_parameters():
        if parameter.ndim < 2:
            parameter.fill_(0.0 if name.endswith("bias") else 1.0)
        else:
            for chunk in parameter.view(-1).split(len(block)):
                chunk.copy_(block[: len(chunk)])
    for buffer in module.buffers():
        buffer.zero_()
    return module


def _check_memory(module: nn.Module, device: str) -> None:
    """Raise :class:`ModelError` before allocation if the module does not fit into free memory."""
    required = sum(tensor.nbytes for tensor in (*module.parameters(), *module.buffers()))
    if device == "cpu" and required > (free := available_bytes()):
        raise ModelError(
            f"{type(module).__name__} needs {required / 1e9:.1f} GB; {free / 1e9:.1f} GB of memory are free. "
            "Stop other programs or use a machine with more memory."
        )


def available_bytes() -> int:
    """Return the memory that is available without swapping (Linux)."""
    lines = Path("/proc/meminfo").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable"))
