"""The paper's output projection: a small transformer with learned queries over the hidden states of a span.

Names of the weights are those of the published checkpoint (``fc``, ``tfm``, ``model``, ``query_embs``), which took the
module from GILL (kohjingyu/gill, ``models.py``).
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn


class QueryTransformer(nn.Module):
    """Maps S hidden states of width D to a condition of Q vectors of width C.

    There is no positional encoding and no causal mask: the embeddings of the signal tokens, which are added to their
    hidden states, identify the positions.
    """

    def __init__(
        self,
        llm_width: int,
        condition_width: int,
        *,
        queries: int,
        width: int = 512,
        layers: int = 4,
        heads: int = 4,
        feedforward_width: int = 2048,
    ) -> None:
        super().__init__()
        layer = {
            "d_model": width,
            "nhead": heads,
            "dim_feedforward": feedforward_width,
            "dropout": 0.0,
            "batch_first": True,
            "norm_first": True,
        }
        encoder = nn.TransformerEncoder(
            nn.TransformerEncoderLayer(**layer), layers, nn.LayerNorm(width), enable_nested_tensor=False
        )
        self.fc = nn.Linear(llm_width, width)
        self.tfm = nn.Transformer(num_decoder_layers=layers, custom_encoder=encoder, **layer)
        self.model = nn.Linear(width, condition_width)
        self.query_embs = nn.Parameter(torch.randn(1, queries, width))

    def forward(self, hidden: Float[Tensor, "B S D"], signal_rows: Float[Tensor, "S D"]) -> Float[Tensor, "B Q C"]:
        """Return one condition per span; ``signal_rows`` are the input embeddings of its signal tokens."""
        states = self.fc(hidden + signal_rows)  # (B, S, width)
        queries = self.query_embs.expand(len(hidden), -1, -1)  # (B, Q, width)
        return self.model(self.tfm(states, queries))
