"""Two-layer input projection of the official code's later version: linear, GELU, linear, on every vector."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from nextgpt.modality import MODALITIES
from nextgpt.model.encoding.base import Features
from nextgpt.model.input_projection.linear import SHARED


class MlpProjection(nn.Module):
    """Two layers from E over D to K x D, applied to every vector of an item; the outputs are averaged."""

    def __init__(self, encoder_width: int, llm_width: int, *, soft_tokens: int = 1, shared: bool = True) -> None:
        super().__init__()
        self.soft_tokens = soft_tokens
        self.llm_width = llm_width
        self.shared = shared
        self.networks = nn.ModuleDict(
            {
                name: nn.Sequential(
                    nn.Linear(encoder_width, llm_width), nn.GELU(), nn.Linear(llm_width, soft_tokens * llm_width)
                )
                for name in ([SHARED] if shared else MODALITIES)
            }
        )

    def forward(self, features: Sequence[Features], modalities: Sequence[str]) -> Float[Tensor, "N K D"]:
        """Project each vector of an item to K soft tokens and average over the vectors."""
        if not features:
            return next(self.parameters()).new_zeros(0, self.soft_tokens, self.llm_width)
        names = [SHARED if self.shared else modality for modality in modalities]
        rows = [self.networks[name](item.vectors).mean(dim=0) for name, item in zip(names, features, strict=True)]
        return torch.stack(rows).unflatten(1, (self.soft_tokens, self.llm_width))
