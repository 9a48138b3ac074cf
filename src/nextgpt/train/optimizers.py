"""Optimizers: Muon for the hidden matrices and kernels, AdamW for everything else.

Muon (Jordan et al. 2024; :mod:`.muon`) orthogonalises each matrix's update; a kernel counts as the matrix
of its output channels by everything else. On the small models trained here it needs about half the steps of AdamW.
Embeddings, gains and biases stay with AdamW.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType

import torch
from torch import nn
from torch.optim import Optimizer

from nextgpt.train.muon import StackedMuon

BETAS = (0.9, 0.95)


def create_optimizers(
    modules: Iterable[nn.Module],
    *,
    learning_rate: float,
    muon_learning_rate: float | None,
    weight_decay: float,
    rate_shares: Mapping[str, float] = MappingProxyType({}),
) -> list[Optimizer]:
    """Build the optimizers of the trainable parameters of ``modules``.

    Args:
        learning_rate: AdamW's rate.
        muon_learning_rate: Muon's rate for the hidden matrices; ``None`` leaves all to AdamW.
        weight_decay: decoupled decay of matrices and kernels; vectors are never decayed.
        rate_shares: what share of these rates holds for parameters of a module of that name; 1 for others.
    """
    named = [(name, p) for module in modules for name, p in module.named_parameters() if p.requires_grad]
    adamw_groups, muon_groups = [], []
    for module, share in {**rate_shares, None: 1.0}.items():
        own = [(name, p) for name, p in named if _module_of(name, rate_shares) == module]
        in_muon = [p for name, p in own if muon_learning_rate is not None and _is_hidden_matrix(name, p)]
        chosen = {id(p) for p in in_muon}
        rest, rate = [p for _, p in own if id(p) not in chosen], share * learning_rate
        adamw_groups += [
            {"params": [p for p in rest if p.ndim > 1], "weight_decay": weight_decay, "lr": rate},
            {"params": [p for p in rest if p.ndim <= 1], "weight_decay": 0.0, "lr": rate},
        ]
        if in_muon:
            muon_groups.append((in_muon, share * muon_learning_rate))
    optimizers: list[Optimizer] = [torch.optim.AdamW(adamw_groups, lr=learning_rate, betas=BETAS, fused=True)]
    return optimizers + [_muon(params, rate, weight_decay) for params, rate in muon_groups]


def _module_of(name: str, modules: Iterable[str]) -> str | None:
    """Which of ``modules`` a parameter is in, by its name."""
    return next((module for module in modules if module in name.split(".")), None)


def _muon(parameters: list[nn.Parameter], learning_rate: float, weight_decay: float) -> Optimizer:
    """Muon over matrices that share the memory of ``parameters``, since torch's takes nothing but matrices."""
    matrices = [nn.Parameter(p.data.view(len(p), -1)) for p in parameters]
    muon = StackedMuon(matrices, lr=learning_rate, weight_decay=weight_decay)

    def take_gradients(*_: object) -> None:
        for matrix, parameter in zip(matrices, parameters, strict=True):
            matrix.grad = None if parameter.grad is None else parameter.grad.reshape(matrix.shape)

    muon.register_step_pre_hook(take_gradients)
    return muon


def _is_hidden_matrix(name: str, parameter: nn.Parameter) -> bool:
    """Whether the parameter is a matrix or kernel in a stack of blocks, whose name then holds the block's number, or of
    the input projection.

    The two factors of a LoRA are none: orthogonal steps of each make large ones of their product.
    """
    pieces = name.split(".")
    is_inside = "input_projection" in pieces or any(piece.isdigit() for piece in pieces)
    return parameter.ndim >= 2 and is_inside and "lora_" not in name
