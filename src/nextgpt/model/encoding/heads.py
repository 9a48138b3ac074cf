"""Heads of the towers: project tokens into the shared space and scale the vectors.

Module names are those of the published state dict, e.g. ``2.weight`` of a head and ``1.log_logit_scale`` after it.
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from nextgpt.model.encoding.config import Tower
from nextgpt.model.encoding.transformer import NORM_EPS

MAX_SCALE = 100.0


def create_head(name: str, tower: Tower, width: int) -> nn.Module:
    """Build a norm and a projection to ``width``.

    The published head selects the class token between the two, at index 1, which is an identity here. The norm is
    per token, so selecting first is equivalent and lets one head serve pooled and patch features.
    """
    norm = nn.LayerNorm(tower.width, eps=NORM_EPS)
    proj = nn.Linear(tower.width, width, bias=False)
    nn.init.normal_(proj.weight, std=tower.width**-0.5)
    if name == "text":
        return TextHead(nn.Sequential(norm, proj))
    dropout = [nn.Dropout(tower.head_dropout)] if tower.head_dropout else []
    return nn.Sequential(norm, nn.Identity(), *dropout, proj)


class TextHead(nn.Module):
    """Head of the text tower; its published name has one more level."""

    def __init__(self, proj: nn.Module) -> None:
        super().__init__()
        self.proj = proj

    def forward(self, x: Float[Tensor, "*B D"]) -> Float[Tensor, "*B E"]:
        return self.proj(x)


def create_postprocessor(tower: Tower) -> nn.Module:
    """Build the final normalization: to norm 1, or to the tower's scale."""
    if tower.scale is None:
        return Normalize()
    return nn.Sequential(Normalize(), Scale(tower.scale, is_learned=tower.is_scale_learned))


class Normalize(nn.Module):
    """Normalize to Euclidean norm 1."""

    def forward(self, x: Float[Tensor, "*B E"]) -> Float[Tensor, "*B E"]:
        return functional.normalize(x, dim=-1)


class Scale(nn.Module):
    """Multiply by a learned or fixed factor of at most 100, stored as its logarithm."""

    def __init__(self, start: float, *, is_learned: bool) -> None:
        super().__init__()
        logarithm = torch.tensor(math.log(start))
        if is_learned:
            self.log_logit_scale = nn.Parameter(logarithm)
        else:
            self.register_buffer("log_logit_scale", logarithm)

    def forward(self, x: Float[Tensor, "*B E"]) -> Float[Tensor, "*B E"]:
        return x * self.log_logit_scale.exp().clamp(max=MAX_SCALE)
