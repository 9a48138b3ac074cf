"""Settings of the recipe kind ``alignment``, and its data sources."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, field_validator

from nextgpt.config import LoraConfig
from nextgpt.errors import unknown_name_message
from nextgpt.modality import MODALITIES
from nextgpt.train.dataset import LENGTH_POOL_BATCHES, BatchMixing, BatchUnit, DialogueSource, SourceContext
from nextgpt.train.initial_model import InitialModelRecipe
from nextgpt.train.registry import load_data_module
from nextgpt.train.stages import Loss, Stage, StageName, get_stage


class AlignmentRecipe(InitialModelRecipe):
    """Any of the three stages."""

    kind: Literal["alignment"]
    stage: StageName
    data: dict[str, Any]
    """Settings of data sources by the names in :data:`~nextgpt.train.registry.DATA_SOURCES`, such as
    ``{corpora: {cc3m: {path: data/cc3m}}}``."""
    batch_mixing: BatchMixing = "mixed"
    """``one_source_per_batch``, as published, or sources ``mixed`` in each batch."""
    batch_unit: BatchUnit = "example"
    """Unit that ``fit.batch_size`` counts. With ``turn``, batches of long dialogues hold fewer of them."""
    length_pool_batches: int = LENGTH_POOL_BATCHES
    """Batches that are drawn and sorted by length for each one that is trained on; more of them leave less padding."""
    max_tokens: int | None = None
    """Maximum length of an example; longer ones are skipped and listed. None: the model's context length."""
    losses: dict[Loss, float] | None = None
    """Loss weights. None: those of the stage. As published: ``{cross_entropy: 1, l2: 1}``."""
    loss_weights: dict[str, float] = Field(default={})
    """Factor on all losses of media by modality, 1 if missing. As published in 2023 for the last stage:
    ``{video: 2}``."""
    lora: LoraConfig = LoraConfig()
    """LoRA that instruction tuning adds, if the model has none."""
    train_signal_inputs: bool = True
    """False freezes the input embeddings of signal tokens."""
    train_input_projection: bool = True
    """False freezes the input projection; the blocks before the first adapted one then need no backward pass."""
    cache: Path | None = None
    """Folder written by ``nextgpt data cache``; training then loads neither encoder nor text encoders."""
    save_dtype: Literal["float32", "bfloat16"] = "float32"
    """Dtype of the trained weights in the result."""

    @field_validator("data", mode="before")
    @classmethod
    def _parse_data(cls, values: Any) -> dict[str, Any]:
        if not isinstance(values, Mapping) or not values:
            raise ValueError("expected a mapping of at least one data source, such as {corpora: {…}}")
        return {name: load_data_module(name).parse(value, f"data.{name}") for name, value in values.items()}

    @field_validator("loss_weights")
    @classmethod
    def _validate_loss_weights(cls, values: dict[str, float]) -> dict[str, float]:
        for modality, weight in values.items():
            if modality not in MODALITIES:
                raise ValueError(unknown_name_message("modality", modality, MODALITIES))
            if not 0 <= weight < math.inf:
                raise ValueError(f"{modality} is {weight}; expected a finite number from 0")
        return values

    @property
    def sample_unit(self) -> str:
        """Return what ``fit.batch_size`` counts."""
        return self.batch_unit

    @property
    def resolved_stage(self) -> Stage:
        """Return the stage with the losses of the recipe, and without what it freezes."""
        stage = get_stage(self.stage, self.losses)
        frozen = set() if self.train_input_projection else {"input_projection"}
        return replace(stage, trainable=stage.trainable - frozen)


def load_sources(recipe: AlignmentRecipe) -> tuple[DialogueSource, ...]:
    """Open the data sources of a recipe."""
    context = SourceContext(recipe.resolved_stage, recipe.model_architecture, recipe.model_dir, recipe.work)
    return tuple(
        source
        for name, settings in recipe.data.items()
        for source in load_data_module(name).load_sources(settings, context)
    )
