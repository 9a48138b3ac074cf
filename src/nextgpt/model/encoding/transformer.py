"""Trunk of the towers: pre-norm transformer blocks.

Module names are those of the published state dict, e.g. ``blocks.0.attn.in_proj_weight``.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

NORM_EPS = 1e-6
"""Epsilon of norms in trunk and head; stems use torch's 1e-5, as published."""


class Attention(nn.Module):
    """Multi-head self-attention with the parameter layout of :class:`torch.nn.MultiheadAttention`."""

    def __init__(self, width: int, heads: int, *, has_bias_kv: bool) -> None:
        super().__init__()
        self.heads = heads
        self.in_proj_weight = nn.Parameter(torch.empty(3 * width, width))
        self.in_proj_bias = nn.Parameter(torch.zeros(3 * width))
        self.out_proj = nn.Linear(width, width)
        self.bias_k = nn.Parameter(torch.zeros(1, 1, width)) if has_bias_kv else None
        self.bias_v = nn.Parameter(torch.zeros(1, 1, width)) if has_bias_kv else None

    def forward(self, x: Float[Tensor, "B T D"], mask: Float[Tensor, "T T"] | None) -> Float[Tensor, "B T D"]:
        q, k, v = functional.linear(x, self.in_proj_weight, self.in_proj_bias).chunk(3, dim=-1)
        if self.bias_k is not None:
            k = torch.cat((k, self.bias_k.expand(len(x), -1, -1)), dim=1)  # (B, T + 1, D)
            v = torch.cat((v, self.bias_v.expand(len(x), -1, -1)), dim=1)
        q, k, v = (part.unflatten(-1, (self.heads, -1)).transpose(1, 2) for part in (q, k, v))  # (B, heads, T, .)
        mixed = functional.scaled_dot_product_attention(q, k, v, attn_mask=mask)
        return self.out_proj(mixed.transpose(1, 2).flatten(2))


class FeedForward(nn.Module):
    """Two linear layers with exact GELU; the hidden width is 4 x ``width``."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(width, 4 * width)
        self.fc2 = nn.Linear(4 * width, width)

    def forward(self, x: Float[Tensor, "B T D"]) -> Float[Tensor, "B T D"]:
        return self.fc2(functional.gelu(self.fc1(x)))


class DropPath(nn.Module):
    """Stochastic depth: drop the residual branch of random items in training and rescale the others."""

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate

    def forward(self, x: Float[Tensor, "B T D"]) -> Float[Tensor, "B T D"]:
        if not self.training or self.rate == 0.0:
            return x
        keep = torch.rand(len(x), 1, 1, device=x.device) >= self.rate
        return x * keep.to(x.dtype) / (1.0 - self.rate)


class Block(nn.Module):
    """Pre-norm attention and feed-forward with residual connections."""

    def __init__(self, width: int, heads: int, *, has_bias_kv: bool, drop_path: float) -> None:
        super().__init__()
        self.attn = Attention(width, heads, has_bias_kv=has_bias_kv)
        self.norm_1 = nn.LayerNorm(width, eps=NORM_EPS)
        self.mlp = FeedForward(width)
        self.norm_2 = nn.LayerNorm(width, eps=NORM_EPS)
        self.drop_path = DropPath(drop_path)

    def forward(self, x: Float[Tensor, "B T D"], mask: Float[Tensor, "T T"] | None) -> Float[Tensor, "B T D"]:
        x = x + self.drop_path(self.attn(self.norm_1(x), mask))
        return x + self.drop_path(self.mlp(self.norm_2(x)))


class Trunk(nn.Module):
    """Optional input norm and all blocks of a tower."""

    def __init__(
        self, width: int, blocks: int, heads: int, *, has_input_norm: bool, has_bias_kv: bool, drop_path: float
    ) -> None:
        super().__init__()
        norm = nn.LayerNorm(width, eps=NORM_EPS) if has_input_norm else nn.Identity()
        self.pre_transformer_layer = nn.Sequential(norm)
        rates = [drop_path * i / max(blocks - 1, 1) for i in range(blocks)]
        self.blocks = nn.ModuleList(Block(width, heads, has_bias_kv=has_bias_kv, drop_path=rate) for rate in rates)
        self._init_weights(width)

    @torch.no_grad()
    def _init_weights(self, width: int) -> None:
        """Initialize as OpenAI's CLIP: scaled by width, residual branches also by depth."""
        residual_std = width**-0.5 * (2 * len(self.blocks)) ** -0.5
        for block in self.blocks:
            nn.init.normal_(block.attn.in_proj_weight, std=width**-0.5)
            nn.init.normal_(block.attn.out_proj.weight, std=residual_std)
            nn.init.normal_(block.mlp.fc1.weight, std=(2 * width) ** -0.5)
            nn.init.normal_(block.mlp.fc2.weight, std=residual_std)
            for layer in (block.attn.out_proj, block.mlp.fc1, block.mlp.fc2):
                nn.init.zeros_(layer.bias)

    def forward(self, x: Float[Tensor, "B T D"], mask: Float[Tensor, "T T"] | None = None) -> Float[Tensor, "B T D"]:
        x = self.pre_transformer_layer(x)
        for block in self.blocks:
            x = block(x, mask)
        return x
