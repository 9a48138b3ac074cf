"""The input projection of the paper's later version: patches gather in groups until K are left (K = 8).

Written from the description (paper, ICML version; the grouping is that of Xu et al. 2022, GroupViT, arXiv:2202.11094):
stages of transformer blocks over patches and learned group tokens; at a stage's end every patch joins the group that
it fits best, and the groups are the next stage's patches.

::

    (P, E) -> width -> 6 blocks, 64 groups -> (64, width) -> 3 blocks, K groups -> (K, width) -> 3 blocks -> (K, D)
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from nextgpt.modality import MODALITIES
from nextgpt.model.encoding.base import Features
from nextgpt.model.encoding.transformer import FeedForward, Trunk
from nextgpt.model.input_projection.linear import SHARED


class GroupingProjection(nn.Module):
    """Every patch of an item, not only their mean, to K soft tokens, by one network for all modalities or one for each.

    Args:
        blocks: Transformer blocks of each stage.
        groups: Groups after each stage but the last two; the stage before the last leaves ``soft_tokens``.
    """

    def __init__(
        self,
        encoder_width: int,
        llm_width: int,
        *,
        soft_tokens: int,
        is_shared: bool,
        width: int,
        heads: int,
        blocks: Sequence[int],
        groups: Sequence[int],
    ) -> None:
        super().__init__()
        assert len(blocks) == len(groups) + 2, "a stage has one number of blocks and, but for the last, of groups"
        self.soft_tokens = soft_tokens
        self.llm_width = llm_width
        self.is_shared = is_shared
        counts = [*groups, soft_tokens]
        self.networks = nn.ModuleDict(
            {
                name: nn.Sequential(
                    nn.Linear(encoder_width, width),
                    *(Stage(width, heads, depth, count) for depth, count in zip(blocks[:-1], counts, strict=True)),
                    Trunk(width, blocks[-1], heads, has_input_norm=False, has_bias_kv=False, drop_path=0.0),
                    nn.LayerNorm(width),
                    nn.Linear(width, llm_width),
                )
                for name in ([SHARED] if is_shared else MODALITIES)
            }
        )

    def forward(self, features: Sequence[Features], modalities: Sequence[str]) -> Float[Tensor, "N K D"]:
        """Group each item's patches alone, as items have different numbers of them."""
        if not features:
            return next(self.parameters()).new_zeros(0, self.soft_tokens, self.llm_width)
        names = [SHARED if self.is_shared else modality for modality in modalities]
        return torch.cat(
            [self.networks[name](item.vectors[None]) for name, item in zip(names, features, strict=True)]
        )


class Stage(nn.Module):
    """Transformer blocks over patches and group tokens, then every patch joins one group."""

    def __init__(self, width: int, heads: int, blocks: int, groups: int) -> None:
        super().__init__()
        self.tokens = nn.Parameter(torch.randn(1, groups, width) * width**-0.5)
        self.trunk = Trunk(width, blocks, heads, has_input_norm=False, has_bias_kv=False, drop_path=0.0)
        self.gather = Gather(width)

    def forward(self, patches: Float[Tensor, "B P W"]) -> Float[Tensor, "B G W"]:
        count = self.tokens.shape[1]
        groups = self.tokens.expand(len(patches), -1, -1)
        states = self.trunk(torch.cat((groups, patches), dim=1))  # (B, G + P, W)
        return self.gather(states[:, :count], states[:, count:])


class Gather(nn.Module):
    """Add to each group the mean of the patches that choose it.

    The choice is hard and passes gradients as if it were soft; in training it is drawn (Gumbel), else the likeliest.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm_groups, self.norm_patches = nn.LayerNorm(width), nn.LayerNorm(width)
        self.query, self.key, self.value = (nn.Linear(width, width, bias=False) for _ in range(3))
        self.out = nn.Linear(width, width)
        self.norm_mlp = nn.LayerNorm(width)
        self.mlp = FeedForward(width)

    def forward(self, groups: Float[Tensor, "B G W"], patches: Float[Tensor, "B P W"]) -> Float[Tensor, "B G W"]:
        heard = self.norm_patches(patches)
        chosen = self.choose(groups, heard)  # (B, G, P)
        mean = chosen @ self.value(heard) / chosen.sum(dim=-1, keepdim=True).clamp(min=1.0)
        groups = groups + self.out(mean)
        return groups + self.mlp(self.norm_mlp(groups))

    def choose(self, groups: Float[Tensor, "B G W"], heard: Float[Tensor, "B P W"]) -> Float[Tensor, "B G P"]:
        """1 where a patch joins a group, 0 elsewhere: every column has a single 1."""
        scores = self.query(self.norm_groups(groups)) @ self.key(heard).transpose(1, 2) * groups.shape[-1] ** -0.5
        if self.training:
            return functional.gumbel_softmax(scores, hard=True, dim=1)
        soft = scores.softmax(dim=1)
        hard = torch.zeros_like(soft).scatter_(1, soft.argmax(dim=1, keepdim=True), 1.0)
        return hard + soft - soft.detach()
