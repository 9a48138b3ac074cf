"""Second step: features of media become soft tokens, which stand among the words that the LLM hears."""

from __future__ import annotations

from nextgpt.config import InputProjectionConfig
from nextgpt.model.input_projection.base import InputProjection
from nextgpt.model.input_projection.linear import LinearProjection

__all__ = ["InputProjection", "LinearProjection", "create_input_projection"]


def create_input_projection(config: InputProjectionConfig, llm_width: int) -> LinearProjection:
    """The input projection that a config names."""
    kinds = {"linear": LinearProjection}
    return kinds[config.kind](
        config.encoder_width, llm_width, soft_tokens=config.soft_tokens, is_shared=config.is_shared
    )
