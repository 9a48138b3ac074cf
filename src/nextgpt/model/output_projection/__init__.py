"""Project hidden states at signal tokens to conditions of a synthesizer."""

from __future__ import annotations

from nextgpt.config import OutputProjectionConfig
from nextgpt.model.output_projection.base import OutputProjection
from nextgpt.model.output_projection.query_transformer import QueryTransformer

__all__ = ["OutputProjection", "QueryTransformer", "create_output_projection"]


def create_output_projection(config: OutputProjectionConfig, llm_width: int) -> QueryTransformer:
    """Create the output projection that the config names."""
    kinds = {"query_transformer": QueryTransformer}
    return kinds[config.kind](
        llm_width,
        config.condition_width,
        queries=config.queries,
        width=config.width,
        layers=config.layers,
        heads=config.heads,
        feedforward_width=config.feedforward_width,
    )
