"""The trained weights as one file: signal-token embeddings, LoRA, input and output projections.

::

    signals.input  signals.output                      embeddings of the signal tokens
    lora.<layer>.A  lora.<layer>.B                     LoRA adapters of the LLM, never merged on disk
    input_projection.<name>                            features -> soft tokens
    output_projections.<modality>.<name>               hidden states -> condition
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from safetensors.torch import save_file
from torch import Tensor

from nextgpt.atomic_files import write_atomically
from nextgpt.errors import WeightsError
from nextgpt.model.llm import lora
from nextgpt.model.safetensors_io import check_state_dict, read_safetensors

if TYPE_CHECKING:
    from nextgpt.model.nextgpt import NextGPT

LORA = "lora."


def save_trained(model: NextGPT, path: Path, *, dtype: torch.dtype | None = None) -> None:
    """Write the trained weights, whole or not at all; in their own dtype unless ``dtype`` is set."""
    tensors = trained_state_dict(model)
    converted = {name: tensor.to("cpu", dtype).contiguous() for name, tensor in tensors.items()}
    write_atomically(path, lambda file: save_file(converted, file, metadata={"format": "pt"}))


def load_trained(model: NextGPT, path: Path, *, merge_lora: bool = True) -> None:
    """Read the trained weights. LoRA is merged into the LLM for inference, or kept apart for training.

    Raises:
        WeightsError: The file is missing or damaged, or does not fit the model; all mismatches are listed.
    """
    tensors = read_safetensors(path)
    adapters = {name.removeprefix(LORA): tensors.pop(name) for name in list(tensors) if name.startswith(LORA)}
    expected = _trained_modules_state_dict(model)
    _check_hidden_size(path, tensors, model.llm.hidden_size)
    check_state_dict(path, tensors, expected)
    with torch.no_grad():
        for name, tensor in expected.items():
            tensor.copy_(tensors[name])
    config = model.config.llm.lora
    if bool(adapters) != (config is not None):
        named, content = ("names", "has none") if config else ("does not name", "has some")
        raise WeightsError(f"config.json {named} LoRA, but {path} {content}. Take both files from the same model.")
    if config is not None and merge_lora:
        model.llm.merge_lora(adapters, alpha=config.alpha, rank=config.rank)
    elif config is not None:
        model.llm.add_lora(**config.model_dump(), adapters=adapters)


def _check_hidden_size(path: Path, tensors: Mapping[str, Tensor], hidden_size: int) -> None:
    """Raise one clear error for another LLM, instead of a list of all tensors."""
    rows = tensors.get("signals.input")
    if rows is not None and rows.ndim == 2 and rows.shape[1] != hidden_size:
        raise WeightsError(
            f"{path} was trained with an LLM of hidden size {rows.shape[1]}; config.json names one of {hidden_size}. "
            "Name the LLM that it was trained with."
        )


def trained_state_dict(model: NextGPT) -> dict[str, Tensor]:
    """Return all trained tensors by their names on disk."""
    llm = model.components["llm"].get()
    adapters = llm.adapters or lora.adapter_state_dict(llm.transformer)
    assert not adapters or model.config.llm.lora is not None, "NextGPT.add_lora records the LoRA config"
    return _trained_modules_state_dict(model) | {LORA + name: tensor for name, tensor in adapters.items()}


def _trained_modules_state_dict(model: NextGPT) -> dict[str, Tensor]:
    modules = {
        "signals": model.llm.signals,
        "input_projection": model.input_projection,
        "output_projections": model.output_projections,
    }
    return {f"{name}.{key}": tensor for name, module in modules.items() for key, tensor in module.state_dict().items()}
