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
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from nextgpt.errors import WeightsError
from nextgpt.model.llm import lora
from nextgpt.model.nextgpt import NextGPT

WEIGHTS_FILE = "nextgpt.safetensors"
LORA = "lora."


def save_trained(model: NextGPT, path: Path, *, dtype: torch.dtype | None = None) -> None:
    """Write what is trained, in ``dtype`` where one is given."""
    tensors = trained_tensors(model)
    written = {name: tensor.to("cpu", dtype).contiguous() for name, tensor in tensors.items()}
    save_file(written, path, metadata={"format": "pt"})


def load_trained(model: NextGPT, path: Path, *, is_merged: bool = True) -> None:
    """Read what was trained; LoRA is merged into the LLM to answer, or stays apart to be trained on.

    Raises:
        WeightsError: The file is missing or damaged, or does not fit the model; every tensor that does not is named.
    """
    tensors = read_weights(path)
    adapters = {name.removeprefix(LORA): tensors.pop(name) for name in list(tensors) if name.startswith(LORA)}
    _fill(_modules_state(model), tensors, path)
    settings = model.config.llm.lora
    if bool(adapters) != (settings is not None):
        named, held = ("names", "holds none") if settings else ("does not name", "holds some")
        raise WeightsError(
            f"config.json {named} LoRA, but {path} {held}. Take both files from the same model."
        )
    if settings is not None and is_merged:
        model.llm.merge(adapters, alpha=settings.alpha, rank=settings.rank)
    elif settings is not None:
        model.llm.adapt(**settings.model_dump(), adapters=adapters)


def trained_tensors(model: NextGPT) -> dict[str, Tensor]:
    """Everything that is trained, by its name on disk."""
    adapters = model.llm.adapters or lora.extract(model.llm.transformer)
    assert not adapters or model.config.llm.lora is not None, (
        "LoRA is given by NextGPT.adapt, which notes its settings"
    )
    return _modules_state(model) | {LORA + name: tensor for name, tensor in adapters.items()}


def _modules_state(model: NextGPT) -> dict[str, Tensor]:
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


def read_weights(path: Path) -> dict[str, Tensor]:
    """Read a safetensors file. Raises :class:`WeightsError` where it is missing or damaged."""
    try:
        return load_file(path)
    except (SafetensorError, OSError, ValueError, KeyError) as error:
        raise WeightsError(
            f"{path} cannot be read ({error}); expected a whole safetensors file. Fetch the model again."
        ) from error


@torch.no_grad()
def _fill(expected: Mapping[str, Tensor], found: Mapping[str, Tensor], path: Path) -> None:
    """Copy tensors by name, if all of them fit."""
    faults = {
        "missing": sorted(expected.keys() - found.keys()),
        "unexpected": sorted(found.keys() - expected.keys()),
        "of another shape": [
            f"{name} {tuple(found[name].shape)} instead of {tuple(tensor.shape)}"
            for name, tensor in expected.items()
            if name in found and found[name].shape != tensor.shape
        ],
    }
    listed = "; ".join(f"{fault}: {', '.join(names)}" for fault, names in faults.items() if names)
    if listed:
        raise WeightsError(
            f"{path} does not fit config.json ({listed}). Take both files from the same model."
        )
    for name, tensor in expected.items():
        tensor.copy_(found[name])
