"""An input projection by attention: K learned queries look at all of an item's vectors, and become its soft tokens.

The Perceiver resampler of Flamingo (Alayrac et al. 2022, arXiv:2204.14198, section 3.1.1), with queries that look at
the item alone: they need not see each other to read different parts of it. One vector can't tell several objects apart;
where each patch has one, a query finds what it asks for.

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
    """All vectors of an item to K soft tokens, by one network for all modalities or one for each."""

    def __init__(
        self,
        encoder_width: int,
        llm_width: int,
        *,
        soft_tokens: int,
        shared: bool,
        width: int,
        heads: int,
        layers: int,
    ) -> None:
        super().__init__()
        self.soft_tokens = soft_tokens
        self.llm_width = llm_width
        self.shared = shared
        self.networks = nn.ModuleDict(
            {
                name: Resampler(
                    encoder_width, llm_width, queries=soft_tokens, width=width, heads=heads, layers=layers
                )
                for name in ([SHARED] if shared else MODALITIES)
            }
        )

    def forward(self, features: Sequence[Features], modalities: Sequence[str]) -> Float[Tensor, "N K D"]:
        """Resample each item's vectors; items of one network with equally many of them go through it together."""
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
    """In, layers in which the queries look, out."""

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
        # What leaves has entries of about this size: soft tokens start as quiet as words.
        nn.init.normal_(self.leave.weight, std=INIT_STD * width**-0.5)
        nn.init.zeros_(self.leave.bias)

    def forward(self, vectors: Float[Tensor, "B P E"]) -> Float[Tensor, "B K D"]:
        heard = self.norm(self.enter(vectors))
        states = self.queries.expand(len(vectors), -1, -1)
        for layer in self.layers:
            states = layer(states, heard)
        return self.leave(self.norm_out(states))


class ResamplerLayer(nn.Module):
    """Attention to what was heard, and a feed-forward network, each behind a norm and beside a residual."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm_1, self.norm_2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.query, self.out = nn.Linear(width, width, bias=False), nn.Linear(width, width)
        self.key_value = nn.Linear(width, 2 * width, bias=False)
        self.mlp = nn.Sequential(
            nn.Linear(width, MLP_RATIO * width), nn.GELU(), nn.Linear(MLP_RATIO * width, width)
        )

    def forward(
        self, states: Float[Tensor, "B K W"], heard: Float[Tensor, "B P W"]
    ) -> Float[Tensor, "B K W"]:
        q, k, v = (
            part.unflatten(-1, (self.heads, -1)).transpose(1, 2)  # (B, heads, ., .)
            for part in (self.query(self.norm_1(states)), *self.key_value(heard).chunk(2, dim=-1))
        )
        found = functional.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)
        states = states + self.out(found)
        return states + self.mlp(self.norm_2(states))
