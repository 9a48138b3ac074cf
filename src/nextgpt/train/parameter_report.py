"""Trained and frozen parameters of a recipe by component, counted before training.

:func:`count_prepared_model` counts a loaded model; :func:`count_from_configs` needs no weights and returns the same.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from torch import nn

from nextgpt.config import LoraConfig, ModelConfig
from nextgpt.model.nextgpt import NextGPT
from nextgpt.model.summary import summarize_model
from nextgpt.train.stages import Stage


@dataclass(frozen=True)
class ParameterCount:
    """The parameters of one component."""

    component: str
    trained: int
    frozen: int

    @classmethod
    def of(cls, component: str, module: nn.Module) -> ParameterCount:
        """Count the parameters of a module that require a gradient, and the others."""
        counts = {True: 0, False: 0}
        for parameter in module.parameters():
            counts[parameter.requires_grad] += parameter.numel()
        return cls(component, counts[True], counts[False])


def count_prepared_model(model: NextGPT, model_dir: Path) -> list[ParameterCount]:
    """Count a model whose trainable modules are set; ``model_dir`` holds its components."""
    return list(_counts(model, model_dir))


def count_from_configs(
    config: ModelConfig, config_dir: Path, stage: Stage, lora: LoraConfig, *, train_signal_inputs: bool = True
) -> list[ParameterCount]:
    """Count what a stage trains, from the configs in ``config_dir``; it adds ``lora`` if the model has none."""
    if "lora" in stage.trainable and config.llm.lora is None:
        config = config.model_copy(update={"llm": config.llm.model_copy(update={"lora": lora})})
    rows = {row.name: row.parameters for row in summarize_model(config, config_dir)}
    num_lora, num_llm, num_signals = rows.pop("llm.lora", 0), rows.pop("llm"), rows.pop("llm.signals")
    num_signal_inputs = 0 if train_signal_inputs else num_signals // 2

    def count(component: str, module: str, trainable: int, frozen: int = 0) -> ParameterCount:
        is_trained = module in stage.trainable
        return ParameterCount(component, trainable * is_trained, frozen + trainable * (not is_trained))

    return [
        ParameterCount("encoder", 0, rows.pop("encoder")),
        count("input_projection", "input_projection", rows.pop("input_projection")),
        count("llm, with LoRA" if config.llm.lora else "llm", "lora", num_lora, num_llm),
        count("signal_tokens", "signal_tokens", num_signals - num_signal_inputs, num_signal_inputs),
        *(
            count(f"output_projection.{modality}", "output_projections", rows.pop(f"output_projection.{modality}"))
            for modality in config.synthesizers
        ),
        *(ParameterCount(name, 0, parameters) for name, parameters in rows.items()),
    ]


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
