"""Convert ``imagebind_huge.pth`` to an encoder folder."""

from __future__ import annotations

import shutil
from pathlib import Path

import torch

from nextgpt.convert.weights_io import atomic_directory, read_pickle, save_tensors
from nextgpt.errors import ModelError
from nextgpt.model.encoding.config import EncoderConfig, imagebind_huge
from nextgpt.model.encoding.imagebind import ImageBind
from nextgpt.model.encoding.loading import CONFIG_FILE, TOKENIZER_FILE, WEIGHTS_FILE
from nextgpt.model.safetensors_io import check_state_dict


def convert_imagebind(
    weights: Path,
    folder: Path,
    *,
    tokenizer: Path | None = None,
    has_patches: bool = False,
    config: EncoderConfig | None = None,
) -> int:
    """Write the published ImageBind as an encoder folder; return the number of converted tensors.

    Args:
        tokenizer: ``tokenizer.json`` of CLIP (openai/clip-vit-large-patch14), needed to encode texts.
        has_patches: Return one vector per patch, as the later version of the paper, instead of one per medium.
        config: Sizes of another ImageBind; ``None``: those of the published one.

    Raises:
        WeightsError: The file is damaged, or its tensors are not exactly those of the config; all are named.
        ModelError: The folder cannot be written.
    """
    if tokenizer is not None and not tokenizer.is_file():
        raise ModelError(f"{tokenizer} is missing; expected CLIP's tokenizer.json. Check the path, or leave it out.")
    config = config or imagebind_huge()
    config = config.model_copy(update={"features": "patches" if has_patches else config.features})
    tensors = read_pickle(weights)
    with torch.device("meta"):
        expected = ImageBind(config).state_dict()
    check_state_dict(weights, tensors, expected)
    with atomic_directory(folder, size_bytes=sum(tensor.nbytes for tensor in tensors.values())) as scratch:
        (scratch / CONFIG_FILE).write_text(config.model_dump_json(indent=2) + "\n")
        save_tensors(tensors, scratch / WEIGHTS_FILE)
        if tokenizer is not None:
            shutil.copy(tokenizer, scratch / TOKENIZER_FILE)
    return len(tensors)
