"""The end of every tower: project the tokens into the common space, give the vectors their length.

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
    """A norm and a projection to ``width``, applied to tokens that were chosen before.

    The published head chooses the class token between the two, in place 1, which stays empty here: a norm works on
    each token alone, so choosing first gives the same and lets one head serve pooled and patch features.
    """
    norm = nn.LayerNorm(tower.width, eps=NORM_EPS)
    proj = nn.Linear(tower.width, width, bias=False)
    nn.init.normal_(proj.weight, std=tower.width**-0.5)
    if name == "text":
        return TextHead(nn.Sequential(norm, proj))
    dropout = [nn.Dropout(tower.head_dropout)] if tower.head_dropout else []
    return nn.Sequential(norm, nn.Identity(), *dropout, proj)


class TextHead(nn.Module):
    """The head of the text tower, whose published name is one level deeper."""

    def __init__(self, proj: nn.Module) -> None:
        super().__init__()
        self.proj = proj

    def forward(self, x: Float[Tensor, "*B D"]) -> Float[Tensor, "*B E"]:
        return self.proj(x)


def create_postprocessor(tower: Tower) -> nn.Module:
    """What gives the vectors their length: 1, or the tower's scale."""
    if tower.scale is None:
        return Normalize()
    return nn.Sequential(Normalize(), Scale(tower.scale, is_learned=tower.is_scale_learned))


class Normalize(nn.Module):
    """Divide by the Euclidean length."""

    def forward(self, x: Float[Tensor, "*B E"]) -> Float[Tensor, "*B E"]:
        return functional.normalize(x, dim=-1)


class Scale(nn.Module):
    """Multiply by a learned or fixed number, held as its logarithm, at most 100."""

    def __init__(self, start: float, *, is_learned: bool) -> None:
        super().__init__()
        logarithm = torch.tensor(math.log(start))
        if is_learned:
            self.log_logit_scale = nn.Parameter(logarithm)
        else:
            self.register_buffer("log_logit_scale", logarithm)

    def forward(self, x: Float[Tensor, "*B E"]) -> Float[Tensor, "*B E"]:
        return x * self.log_logit_scale.exp().clamp(max=MAX_SCALE)
