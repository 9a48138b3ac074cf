"""The trunk of every tower: pre-norm transformer blocks. It does not know what its tokens mean.

Module names are those of the published state dict, e.g. ``blocks.0.attn.in_proj_weight``.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

# Norms of trunk and head; stems keep torch's 1e-5, as published.
NORM_EPS = 1e-6


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
        q, k, v = (
            part.unflatten(-1, (self.heads, -1)).transpose(1, 2) for part in (q, k, v)
        )  # (B, heads, T, .)
        mixed = functional.scaled_dot_product_attention(q, k, v, attn_mask=mask)
        return self.out_proj(mixed.transpose(1, 2).flatten(2))


class FeedForward(nn.Module):
    """Two layers, four times as wide between, exact GELU."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(width, 4 * width)
        self.fc2 = nn.Linear(4 * width, width)

    def forward(self, x: Float[Tensor, "B T D"]) -> Float[Tensor, "B T D"]:
        return self.fc2(functional.gelu(self.fc1(x)))


class DropPath(nn.Module):
    """In training, drop a whole residual branch of some items and strengthen it in the others (stochastic depth)."""

    def __init__(self, share: float) -> None:
        super().__init__()
        self.share = share

    def forward(self, x: Float[Tensor, "B T D"]) -> Float[Tensor, "B T D"]:
        if not self.training or self.share == 0.0:
            return x
        kept = torch.rand(len(x), 1, 1, device=x.device) >= self.share
        return x * kept.to(x.dtype) / (1.0 - self.share)


class Block(nn.Module):
    """Attention and feed-forward, each behind a norm and beside a residual."""

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
    """All blocks of a tower."""

    def __init__(
        self,
        width: int,
        blocks: int,
        heads: int,
        *,
        has_input_norm: bool,
        has_bias_kv: bool,
        drop_path: float,
    ) -> None:
        super().__init__()
        norm = nn.LayerNorm(width, eps=NORM_EPS) if has_input_norm else nn.Identity()
        self.pre_transformer_layer = nn.Sequential(norm)
        shares = [drop_path * i / max(blocks - 1, 1) for i in range(blocks)]
        self.blocks = nn.ModuleList(
            Block(width, heads, has_bias_kv=has_bias_kv, drop_path=share) for share in shares
        )
        self._initialise(width)

    @torch.no_grad()
    def _initialise(self, width: int) -> None:
        """As OpenAI's CLIP: scaled by the width, and residual branches weaker the deeper the trunk."""
        residual_std = width**-0.5 * (2 * len(self.blocks)) ** -0.5
        for block in self.blocks:
            nn.init.normal_(block.attn.in_proj_weight, std=width**-0.5)
            nn.init.normal_(block.attn.out_proj.weight, std=residual_std)
            nn.init.normal_(block.mlp.fc1.weight, std=(2 * width) ** -0.5)
            nn.init.normal_(block.mlp.fc2.weight, std=residual_std)
            for layer in (block.attn.out_proj, block.mlp.fc1, block.mlp.fc2):
                nn.init.zeros_(layer.bias)

    def forward(
        self, x: Float[Tensor, "B T D"], mask: Float[Tensor, "T T"] | None = None
    ) -> Float[Tensor, "B T D"]:
        x = self.pre_transformer_layer(x)
        for block in self.blocks:
            x = block(x, mask)
        return x
