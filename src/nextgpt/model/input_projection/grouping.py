"""Grouping input projection of the paper's later version: patches are merged into K groups (K = 8).

Implements the descriptions (paper, ICML version; Xu et al. 2022, GroupViT, arXiv:2202.11094), verified against the
GroupViT of transformers: each stage has transformer blocks over patches and learned group tokens; at its end every
patch is assigned to the best group, and the groups are the next stage's patches.

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
from nextgpt.model.encoding.transformer import FeedForward
from nextgpt.model.input_projection.linear import SHARED


class GroupingProjection(nn.Module):
    """Projects all patches of an item to K soft tokens, by one shared network or one per modality.

    Args:
        blocks: Transformer blocks per stage.
        groups: Groups after each stage except the last two; the second to last stage has ``soft_tokens`` groups.
    """

    def __init__(
        self,
        encoder_width: int,
        llm_width: int,
        *,
        soft_tokens: int,
        shared: bool,
        width: int,
        heads: int,
        blocks: Sequence[int],
        groups: Sequence[int],
    ) -> None:
        super().__init__()
        assert len(blocks) == len(groups) + 2, (
            "one number of blocks per stage, and of groups per stage except the last two"
        )
        self.soft_tokens = soft_tokens
        self.llm_width = llm_width
        self.shared = shared
        counts = [*groups, soft_tokens]
        self.networks = nn.ModuleDict(
            {
                name: GroupingNetwork(encoder_width, llm_width, width=width, heads=heads, blocks=blocks, counts=counts)
                for name in ([SHARED] if shared else MODALITIES)
            }
        )

    def forward(self, features: Sequence[Features], modalities: Sequence[str]) -> Float[Tensor, "N K D"]:
        """Group each item separately, as items have different numbers of patches."""
        if not features:
            return next(self.parameters()).new_zeros(0, self.soft_tokens, self.llm_width)
        names = [SHARED if self.shared else modality for modality in modalities]
        return torch.cat([self.networks[name](item.vectors[None]) for name, item in zip(names, features, strict=True)])


class GroupingNetwork(nn.Module):
    """Input layer, grouping stages, blocks over the last groups, output layer."""

    def __init__(
        self,
        encoder_width: int,
        llm_width: int,
        *,
        width: int,
        heads: int,
        blocks: Sequence[int],
        counts: Sequence[int],
    ) -> None:
        super().__init__()
        self.in_proj = nn.Linear(encoder_width, width)
        before = [None, *counts]
        self.stages = nn.ModuleList(
            GroupingStage(width, heads, depth, groups=count, groups_before=earlier)
            for depth, count, earlier in zip(blocks, counts, before, strict=False)
        )
        self.blocks = _blocks(width, heads, blocks[-1])
        self.norm = nn.LayerNorm(width)
        self.out_proj = nn.Linear(width, llm_width)

    def forward(self, patches: Float[Tensor, "B P E"]) -> Float[Tensor, "B K D"]:
        states, groups = self.in_proj(patches), None
        for stage in self.stages:
            states, groups = stage(states, groups)
        return self.out_proj(self.norm(self.blocks(states)))


class GroupingStage(nn.Module):
    """Transformer blocks over patches and group tokens, then assignment of every patch to one group.

    Group tokens are learned; a later stage adds a mix of the earlier stage's group tokens.
    """

    def __init__(self, width: int, heads: int, blocks: int, *, groups: int, groups_before: int | None) -> None:
        super().__init__()
        self.tokens = nn.Parameter(torch.randn(1, groups, width) * width**-0.5)
        self.group_mixer = (
            nn.Sequential(nn.LayerNorm(width), TokenMixer(groups_before, width // 2, groups))
            if groups_before is not None
            else None
        )
        self.blocks = _blocks(width, heads, blocks)
        self.assignment = GroupAssignment(width, heads, groups)

    def forward(
        self, patches: Float[Tensor, "B P W"], before: Float[Tensor, "B G0 W"] | None
    ) -> tuple[Float[Tensor, "B G W"], Float[Tensor, "B G W"]]:
        """Return the groups, which are the next stage's patches, and the updated group tokens."""
        tokens = self.tokens.expand(len(patches), -1, -1)
        if self.group_mixer is not None:
            tokens = tokens + self.group_mixer(before)
        states = self.blocks(torch.cat((patches, tokens), dim=1))  # (B, P + G, W)
        patches, tokens = states.split([patches.shape[1], tokens.shape[1]], dim=1)
        return self.assignment(tokens, patches), tokens


class GroupAssignment(nn.Module):
    """Cross-attention of group tokens to patches, then addition of each group's assigned patches.

    The assignment is hard with straight-through gradients; sampled by Gumbel-softmax in training, otherwise argmax.
    """

    def __init__(self, width: int, heads: int, groups: int) -> None:
        super().__init__()
        self.norm_groups, self.norm_patches = nn.LayerNorm(width), nn.LayerNorm(width)
        self.mix, self.norm_mixed = TokenMixer(groups, width // 2, groups), nn.LayerNorm(width)
        self.cross_attention = CrossAttention(width, heads)
        self.query, self.key, self.value, self.out = (nn.Linear(width, width) for _ in range(4))
        self.norm_mlp = nn.LayerNorm(width)
        self.mlp = FeedForward(width)

    def forward(self, groups: Float[Tensor, "B G W"], patches: Float[Tensor, "B P W"]) -> Float[Tensor, "B G W"]:
        patches = self.norm_patches(patches)
        groups = self.cross_attention(self.norm_mixed(self.mix(self.norm_groups(groups))), patches)
        assignment = self.assign(groups, patches)  # (B, G, P)
        mean = assignment @ self.value(patches) / (assignment.sum(dim=-1, keepdim=True) + 1)
        groups = groups + self.out(mean)
        return groups + self.mlp(self.norm_mlp(groups))

    def assign(self, groups: Float[Tensor, "B G W"], patches: Float[Tensor, "B P W"]) -> Float[Tensor, "B G P"]:
        """Return 1 where a patch belongs to a group and 0 elsewhere; each column has a single 1."""
        scores = self.query(groups) @ self.key(patches).transpose(1, 2) * groups.shape[-1] ** -0.5
        if self.training:
            return functional.gumbel_softmax(scores, hard=True, dim=1)
        soft = scores.softmax(dim=1)
        hard = torch.zeros_like(soft).scatter_(1, soft.argmax(dim=1, keepdim=True), 1.0)
        return hard + soft - soft.detach()


class CrossAttention(nn.Module):
    """Cross-attention of groups to patches."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query, self.key, self.value = (nn.Linear(width, width) for _ in range(3))
        self.out = nn.Linear(width, width)
        self.norm_mlp, self.norm_out = nn.LayerNorm(width), nn.LayerNorm(width)
        self.mlp = FeedForward(width)

    def forward(self, groups: Float[Tensor, "B G W"], patches: Float[Tensor, "B P W"]) -> Float[Tensor, "B G W"]:
        attended = _attend(self.query(groups), self.key(patches), self.value(patches), self.heads)
        groups = groups + self.out(attended)
        return self.norm_out(groups + self.mlp(self.norm_mlp(groups)))


class TokenMixer(nn.Module):
    """Two linear layers along the token axis: ``inputs`` tokens become ``outputs``."""

    def __init__(self, inputs: int, hidden: int, outputs: int) -> None:
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(inputs, hidden), nn.Linear(hidden, outputs)

    def forward(self, x: Float[Tensor, "B inputs W"]) -> Float[Tensor, "B outputs W"]:
        return self.fc2(functional.gelu(self.fc1(x.transpose(1, 2)))).transpose(1, 2)


class TransformerBlock(nn.Module):
    """Pre-norm attention and feed-forward with residual connections."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm_1, self.norm_2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.out = nn.Linear(width, width)
        self.mlp = FeedForward(width)

    def forward(self, x: Float[Tensor, "B T W"]) -> Float[Tensor, "B T W"]:
        x = x + self.out(_attend(*self.qkv(self.norm_1(x)).chunk(3, dim=-1), self.heads))
        return x + self.mlp(self.norm_2(x))


def _blocks(width: int, heads: int, depth: int) -> nn.Sequential:
    return nn.Sequential(*(TransformerBlock(width, heads) for _ in range(depth)))


def _attend(
    query: Float[Tensor, "B T W"], key: Float[Tensor, "B P W"], value: Float[Tensor, "B P W"], heads: int
) -> Float[Tensor, "B T W"]:
    q, k, v = (part.unflatten(-1, (heads, -1)).transpose(1, 2) for part in (query, key, value))  # (B, heads, ., .)
    return functional.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)
