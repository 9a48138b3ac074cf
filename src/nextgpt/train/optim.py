"""Optimizers: Muon for the hidden matrices and kernels, AdamW for everything else.

Muon (Jordan et al. 2024; :mod:`.muon`) orthogonalizes the update of each matrix; a kernel counts as the matrix of its
output channels by everything else. On the small models trained here it needs about half the steps of AdamW.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType

import torch
from torch import nn
from torch.optim import Optimizer

from nextgpt.train.muon import BatchedMuon

BETAS = (0.9, 0.95)


def create_optimizers(
    modules: Iterable[nn.Module],
    *,
    learning_rate: float,
    muon_learning_rate: float | None,
    weight_decay: float,
    lr_multipliers: Mapping[str, float] = MappingProxyType({}),
) -> list[Optimizer]:
    """Create the optimizers of the trainable parameters of ``modules``.

    Args:
        learning_rate: Peak learning rate of AdamW.
        muon_learning_rate: Peak learning rate of Muon for the hidden matrices. None: AdamW trains all.
        weight_decay: Decoupled weight decay of matrices and kernels; vectors are never decayed.
        lr_multipliers: Factor on both learning rates for the parameters inside a module of that name.
    """
    named = [(name, p) for module in modules for name, p in module.named_parameters() if p.requires_grad]
    adamw_groups, muon_groups = [], []
    for module, factor in {**lr_multipliers, None: 1.0}.items():
        members = [(name, p) for name, p in named if _module_of(name, lr_multipliers) == module]
        in_muon = [p for name, p in members if muon_learning_rate is not None and _uses_muon(name, p)]
        muon_ids = {id(p) for p in in_muon}
        in_adamw, lr = [p for _, p in members if id(p) not in muon_ids], factor * learning_rate
        adamw_groups += [
            {"params": [p for p in in_adamw if p.ndim > 1], "weight_decay": weight_decay, "lr": lr},
            {"params": [p for p in in_adamw if p.ndim <= 1], "weight_decay": 0.0, "lr": lr},
        ]
        if in_muon:
            muon_groups.append((in_muon, factor * muon_learning_rate))
    optimizers: list[Optimizer] = [torch.optim.AdamW(adamw_groups, lr=learning_rate, betas=BETAS, fused=True)]
    return optimizers + [_create_muon(params, lr, weight_decay) for params, lr in muon_groups]


def _module_of(name: str, modules: Iterable[str]) -> str | None:
    """Return which of ``modules`` a parameter belongs to, by its name."""
    return next((module for module in modules if module in name.split(".")), None)


def _create_muon(parameters: list[nn.Parameter], learning_rate: float, weight_decay: float) -> Optimizer:
    """Create a Muon over matrices that share the memory of ``parameters``: torch's takes only matrices."""
    matrices = [nn.Parameter(p.data.view(len(p), -1)) for p in parameters]
    muon = BatchedMuon(matrices, lr=learning_rate, weight_decay=weight_decay)

    def copy_gradients(*_: object) -> None:
        for matrix, parameter in zip(matrices, parameters, strict=True):
            matrix.grad = None if parameter.grad is None else parameter.grad.reshape(matrix.shape)

    muon.register_step_pre_hook(copy_gradients)
    return muon


def _uses_muon(name: str, parameter: nn.Parameter) -> bool:
    """Return whether a parameter is a matrix or kernel of the input projection or of a numbered block.

    LoRA factors are excluded: orthogonal updates of both factors make large updates of their product.
    """
    pieces = name.split(".")
    is_hidden = "input_projection" in pieces or any(piece.isdigit() for piece in pieces)
    return parameter.ndim >= 2 and is_hidden and "lora_" not in name
