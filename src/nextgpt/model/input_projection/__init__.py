"""Project features of media to soft tokens for the LLM."""

from __future__ import annotations

from nextgpt.config import GroupingConfig, InputProjectionConfig, ResamplerConfig
from nextgpt.model.input_projection.base import InputProjection
from nextgpt.model.input_projection.grouping import GroupingProjection
from nextgpt.model.input_projection.linear import LinearProjection
from nextgpt.model.input_projection.mlp import MlpProjection
from nextgpt.model.input_projection.resampler import ResamplerProjection

__all__ = [
    "GroupingProjection",
    "InputProjection",
    "LinearProjection",
    "MlpProjection",
    "ResamplerProjection",
    "create_input_projection",
]


def create_input_projection(
    config: InputProjectionConfig, llm_width: int
) -> LinearProjection | MlpProjection | GroupingProjection | ResamplerProjection:
    """Create the input projection that the config names."""
    sizes = {"soft_tokens": config.soft_tokens, "shared": config.shared}
    if config.kind == "linear":
        return LinearProjection(config.encoder_width, llm_width, **sizes)
    if config.kind == "mlp":
        return MlpProjection(config.encoder_width, llm_width, **sizes)
    if config.kind == "resampler":
        resampler = config.resampler or ResamplerConfig()
        return ResamplerProjection(config.encoder_width, llm_width, **sizes, **resampler.model_dump())
    grouping = config.grouping or GroupingConfig()
    return GroupingProjection(config.encoder_width, llm_width, **sizes, **grouping.model_dump())
