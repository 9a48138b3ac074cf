"""Trained and frozen parameters of a recipe by component, counted before training."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from torch import nn

from nextgpt.model.nextgpt import NextGPT
from nextgpt.model.summary import summarize_model


@dataclass(frozen=True)
class ParameterCount:
    """The parameters of one component."""

    component: str
    trained: int
    frozen: int

    @classmethod
    def of(cls, component: str, module: nn.Module) -> ParameterCount:
        """Count a module by which of its parameters require a gradient."""
        counts = {True: 0, False: 0}
        for parameter in module.parameters():
            counts[parameter.requires_grad] += parameter.numel()
        return cls(component, counts[True], counts[False])


def count_prepared_model(model: NextGPT, model_dir: Path) -> list[ParameterCount]:
    """Count a model whose trainable modules are set; ``model_dir`` holds its components."""
    return list(_counts(model, model_dir))


def _counts(model: NextGPT, model_dir: Path) -> Iterator[ParameterCount]:
    rows = summarize_model(model.config, model_dir)
    frozen = [ParameterCount(row.name, 0, row.parameters) for row in rows if row.trainable == 0]
    yield from (count for count in frozen if count.component == "encoder")
    yield ParameterCount.of("input_projection", model.input_projection)
    yield ParameterCount.of("llm, with LoRA" if model.config.llm.lora else "llm", model.llm.transformer)
    yield ParameterCount.of("signal_tokens", model.llm.signals)
    for modality, projection in model.output_projections.items():
        yield ParameterCount.of(f"output_projection.{modality}", projection)
    yield from (count for count in frozen if count.component not in ("encoder", "llm"))
