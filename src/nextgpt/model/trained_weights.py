"""What this system trains, as one file: the signal tokens' rows, LoRA, both kinds of projections.

::

    signals.input  signals.output                      rows of the signal tokens
    lora.<layer>.A  lora.<layer>.B                     adapters of the LLM, never merged on disk
    input_projection.<name>                            features -> soft tokens
    output_projections.<modality>.<name>               hidden states -> condition
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

from nextgpt.errors import WeightsError
from nextgpt.model.llm import lora
from nextgpt.model.nextgpt import NextGPT
from nextgpt.model.safetensors_io import check_state_dict, read_safetensors

WEIGHTS_FILE = "nextgpt.safetensors"
LORA = "lora."


def save_trained(model: NextGPT, path: Path, *, dtype: torch.dtype | None = None) -> None:
    """Write what is trained, in ``dtype`` where one is given."""
    tensors = trained_state_dict(model)
    written = {name: tensor.to("cpu", dtype).contiguous() for name, tensor in tensors.items()}
    save_file(written, path, metadata={"format": "pt"})


def load_trained(model: NextGPT, path: Path, *, merge_lora: bool = True) -> None:
    """Read what was trained; LoRA is merged into the LLM to answer, or stays apart to be trained on.

    Raises:
        WeightsError: The file is missing or damaged, or does not fit the model; every tensor that does not is named.
    """
    tensors = read_safetensors(path)
    adapters = {name.removeprefix(LORA): tensors.pop(name) for name in list(tensors) if name.startswith(LORA)}
    expected = _trained_modules_state_dict(model)
    _check_width(path, tensors, model.llm.hidden_size)
    check_state_dict(path, tensors, expected)
    with torch.no_grad():
        for name, tensor in expected.items():
            tensor.copy_(tensors[name])
    settings = model.config.llm.lora
    if bool(adapters) != (settings is not None):
        named, held = ("names", "holds none") if settings else ("does not name", "holds some")
        raise WeightsError(
            f"config.json {named} LoRA, but {path} {held}. Take both files from the same model."
        )
    if settings is not None and merge_lora:
        model.llm.merge_lora(adapters, alpha=settings.alpha, rank=settings.rank)
    elif settings is not None:
        model.llm.add_lora(**settings.model_dump(), adapters=adapters)


def _check_width(path: Path, tensors: Mapping[str, Tensor], width: int) -> None:
    """One clear line instead of every tensor, where the LLM is another."""
    rows = tensors.get("signals.input")
    if rows is not None and rows.ndim == 2 and rows.shape[1] != width:
        raise WeightsError(
            f"{path} was trained with an LLM that is {rows.shape[1]} wide; the one that config.json names is {width} "
            "wide. Name the LLM that it was trained with."
        )


def trained_state_dict(model: NextGPT) -> dict[str, Tensor]:
    """Everything that is trained, by its name on disk."""
    llm = model.components["llm"].get()
    adapters = llm.adapters or lora.adapter_state_dict(llm.transformer)
    assert not adapters or model.config.llm.lora is not None, (
        "LoRA is given by NextGPT.adapt, which notes its settings"
    )
    return _trained_modules_state_dict(model) | {LORA + name: tensor for name, tensor in adapters.items()}


def _trained_modules_state_dict(model: NextGPT) -> dict[str, Tensor]:
    modules = {
        "signals": model.llm.signals,
        "input_projection": model.input_projection,
        "output_projections": model.output_projections,
    }
    return {
        f"{name}.{key}": tensor
        for name, module in modules.items()
        for key, tensor in module.state_dict().items()
    }
