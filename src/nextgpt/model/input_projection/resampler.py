"""Perceiver resampler as input projection: K learned queries cross-attend to an item's vectors.

As in Flamingo (Alayrac et al. 2022, arXiv:2204.14198, section 3.1.1), except that queries attend to the item only, not
to each other. With one vector per patch, queries can separate several objects, which one pooled vector cannot.

::

    (P, E) -> (P, width), K queries attend to them, layer by layer -> (K, width) -> (K, D)
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from nextgpt.modality import MODALITIES
from nextgpt.model.encoding.base import Features
from nextgpt.model.input_projection.linear import INIT_STD, SHARED

MLP_RATIO = 2


class ResamplerProjection(nn.Module):
    """Projects all vectors of an item to K soft tokens, by one shared network or one per modality."""

    def __init__(
        self, encoder_width: int, llm_width: int, *, soft_tokens: int, shared: bool, width: int, heads: int, layers: int
    ) -> None:
        super().__init__()
        self.soft_tokens = soft_tokens
        self.llm_width = llm_width
        self.shared = shared
        self.networks = nn.ModuleDict(
            {
                name: Resampler(encoder_width, llm_width, queries=soft_tokens, width=width, heads=heads, layers=layers)
                for name in ([SHARED] if shared else MODALITIES)
            }
        )

    def forward(self, features: Sequence[Features], modalities: Sequence[str]) -> Float[Tensor, "N K D"]:
        """Resample each item's vectors; items of one network with equal numbers of vectors are batched."""
        if not features:
            return next(self.parameters()).new_zeros(0, self.soft_tokens, self.llm_width)
        groups: dict[tuple[str, int], list[int]] = defaultdict(list)
        for index, (item, modality) in enumerate(zip(features, modalities, strict=True)):
            groups[SHARED if self.shared else modality, len(item.vectors)].append(index)
        soft: dict[int, Tensor] = {}
        for (name, _), members in groups.items():
            rows = self.networks[name](torch.stack([features[index].vectors for index in members]))
            soft.update(zip(members, rows, strict=True))
        return torch.stack([soft[index] for index in range(len(features))])


class Resampler(nn.Module):
    """Input layer, cross-attention layers, output layer."""

    def __init__(
        self, encoder_width: int, llm_width: int, *, queries: int, width: int, heads: int, layers: int
    ) -> None:
        super().__init__()
        self.enter = nn.Linear(encoder_width, width)
        self.norm = nn.LayerNorm(width)
        self.queries = nn.Parameter(torch.randn(queries, width))
        self.layers = nn.ModuleList(ResamplerLayer(width, heads) for _ in range(layers))
        self.norm_out = nn.LayerNorm(width)
        self.leave = nn.Linear(width, llm_width)
        # Soft tokens start at the scale of text embeddings.
        nn.init.normal_(self.leave.weight, std=INIT_STD * width**-0.5)
        nn.init.zeros_(self.leave.bias)

    def forward(self, vectors: Float[Tensor, "B P E"]) -> Float[Tensor, "B K D"]:
        keys_values = self.norm(self.enter(vectors))
        states = self.queries.expand(len(vectors), -1, -1)
        for layer in self.layers:
            states = layer(states, keys_values)
        return self.leave(self.norm_out(states))


class ResamplerLayer(nn.Module):
    """Pre-norm cross-attention and feed-forward with residual connections."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm_1, self.norm_2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.query, self.out = nn.Linear(width, width, bias=False), nn.Linear(width, width)
        self.key_value = nn.Linear(width, 2 * width, bias=False)
        self.mlp = nn.Sequential(nn.Linear(width, MLP_RATIO * width), nn.GELU(), nn.Linear(MLP_RATIO * width, width))

    def forward(self, states: Float[Tensor, "B K W"], keys_values: Float[Tensor, "B P W"]) -> Float[Tensor, "B K W"]:
        q, k, v = (
            part.unflatten(-1, (self.heads, -1)).transpose(1, 2)  # (B, heads, ., .)
            for part in (self.query(self.norm_1(states)), *self.key_value(keys_values).chunk(2, dim=-1))
        )
        attended = functional.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)
        states = states + self.out(attended)
        return states + self.mlp(self.norm_2(states))
