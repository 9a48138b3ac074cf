"""The model that a training starts from: frozen components, and the weights of earlier trainings."""

from __future__ import annotations

from pathlib import Path

import torch
from pydantic import Field
from torch import nn
from transformers import PreTrainedModel

from nextgpt.config import LoraConfig, ModelConfig, read_config
from nextgpt.errors import ConfigError
from nextgpt.model.llm.lora import adapter_state_dict
from nextgpt.model.memory_plan import TRAINED, default_plan
from nextgpt.model.model_dir import WEIGHTS_FILE, resolve_model_dir
from nextgpt.model.nextgpt import NextGPT
from nextgpt.model.trained_weights import load_trained
from nextgpt.presets import PRESETS
from nextgpt.train.recipe import BaseRecipe
from nextgpt.train.stages import Stage


class InitialModelRecipe(BaseRecipe):
    """A recipe that trains a whole model."""

    init_from: str | None = None
    """Model to start from: a built-in model, a preset, a folder or a Hub id. None: the folder ``model``."""
    architecture: ModelConfig | None = None
    """Contents of ``config.json``, to join components into a new model; paths are relative to the folder of
    ``init_from``. None: its ``config.json``."""
    reset_trained: bool = False
    """Start with fresh projections, signal tokens and LoRA, whatever was trained before."""
    init_signals_from: dict[str, str] = Field(default={})
    """With ``reset_trained``: special tokens of the LLM that the embeddings of signal-token spans start from, by
    modality or ``edit``."""
    init_signal_ends_from: str | None = None
    """With ``reset_trained``: special token of the LLM after a medium, for the last token of each span."""
    dtypes: dict[str, str] = Field(default={})
    """Dtypes of frozen components by name, float32 if missing; trained weights are float32. ``{llm: bfloat16}`` halves
    the LLM; ``{llm: int4}`` with LoRA is QLoRA (arXiv 2305.14314)."""

    @property
    def model_dir(self) -> Path:
        """Return the folder of the model to start from."""
        if self.init_from is None or (self.architecture is not None and Path(self.init_from).is_dir()):
            return Path(self.init_from or self.model)
        return resolve_model_dir(self.init_from)

    @property
    def config_dir(self) -> Path:
        """Return the folder with the configs of the model to start from; those of presets come with the package."""
        return PRESETS.get(self.init_from or "") or self.model_dir

    @property
    def model_architecture(self) -> ModelConfig:
        """Return the architecture to train."""
        return self.architecture or read_config(self.model_dir)


def load_initial_model(recipe: InitialModelRecipe, *, device: str | torch.device = "cpu") -> NextGPT:
    """Load the frozen components and the weights of earlier trainings, if any; LoRA is not merged."""
    if (recipe.init_signals_from or recipe.init_signal_ends_from) and not recipe.reset_trained:
        raise ConfigError(
            "init_signals_from or init_signal_ends_from is set without reset_trained; trained embeddings of signal "
            "tokens are not replaced. Set reset_trained, or remove them."
        )
    model_dir, config = recipe.model_dir, recipe.model_architecture
    torch.manual_seed(recipe.fit.seed)
    if recipe.reset_trained:
        config = config.model_copy(update={"llm": config.llm.model_copy(update={"lora": None})})
    dtypes = {**recipe.dtypes, TRAINED: "float32"}
    model = NextGPT.from_config(
        config, model_dir, default_plan(config.component_sources, device=str(device), dtype=dtypes)
    )
    if recipe.architecture is not None and model.encoder.width != config.input_projection.encoder_width:
        raise ConfigError(
            f"architecture.input_projection.encoder_width is {config.input_projection.encoder_width}; the encoder "
            f"returns vectors of width {model.encoder.width}. Set it to that."
        )
    if recipe.reset_trained:
        model.llm.init_signals_from_tokens(recipe.init_signals_from, recipe.init_signal_ends_from)
    elif (model_dir / WEIGHTS_FILE).is_file():
        load_trained(model, model_dir / WEIGHTS_FILE, merge_lora=False)
    return model


def set_trainable(model: NextGPT, stage: Stage, lora: LoraConfig) -> None:
    """Require gradients for exactly the modules of the stage; new LoRA adapters change nothing at first."""
    model.requires_grad_(False)
    if "lora" in stage.trainable:
        if not adapter_state_dict(model.llm.transformer):
            model.add_lora(lora)
        for name, parameter in model.llm.transformer.named_parameters():
            parameter.requires_grad_(".lora_" in name)
    modules: dict[str, nn.Module] = {
        "input_projection": model.input_projection,
        "output_projections": model.output_projections,
        "signal_tokens": model.llm.signals,
    }
    for name, module in modules.items():
        if name in stage.trainable:
            module.requires_grad_(True)
    model.train()


def compile_llm(transformer: PreTrainedModel) -> None:
    """Compile an LLM for batches of any length."""
    if transformer.device.type == "cpu":
        transformer.set_attn_implementation("eager")  # compiled, it is faster than the fused kernel in bfloat16
    transformer.base_model.compile(dynamic=True)
