"""Linear input projection of the mean of an item's vectors, as published (paper, version 1; K = 1)."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from nextgpt.modality import MODALITIES
from nextgpt.model.encoding.base import Features

SHARED = "shared"
INIT_STD = 0.03
"""Initial standard deviation of soft tokens, about that of text embeddings in most LLMs."""


class LinearProjection(nn.Module):
    """Linear layer from E to K x D, shared by all modalities or one per modality."""

    def __init__(self, encoder_width: int, llm_width: int, *, soft_tokens: int = 1, shared: bool = True) -> None:
        super().__init__()
        self.soft_tokens = soft_tokens
        self.llm_width = llm_width
        self.shared = shared
        names = [SHARED] if shared else list(MODALITIES)
        self.layers = nn.ModuleDict({name: nn.Linear(encoder_width, soft_tokens * llm_width) for name in names})
        for layer in self.layers.values():
            # Features have entries of about size 1, text embeddings much smaller ones; soft tokens match the latter.
            nn.init.normal_(layer.weight, std=INIT_STD / math.sqrt(encoder_width))
            nn.init.zeros_(layer.bias)

    def forward(self, features: Sequence[Features], modalities: Sequence[str]) -> Float[Tensor, "N K D"]:
        """Average each item's vectors and project the mean to K soft tokens."""
        if not features:
            return next(self.parameters()).new_zeros(0, self.soft_tokens, self.llm_width)
        pooled = [item.vectors.mean(dim=0) for item in features]  # each (E,)
        if self.shared:
            rows = self.layers[SHARED](torch.stack(pooled))  # (N, K * D)
        else:
            rows = torch.stack([self.layers[name](row) for name, row in zip(modalities, pooled, strict=True)])
        return rows.unflatten(1, (self.soft_tokens, self.llm_width))
