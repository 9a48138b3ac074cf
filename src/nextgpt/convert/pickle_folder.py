"""Convert the pickles in a folder of transformers or diffusers to safetensors."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from nextgpt.convert.weights_io import INDEXES, atomic_directory, read_pickle, save_tensors, size_bytes
from nextgpt.errors import ModelError

PICKLES = (".bin", ".pt", ".pth", ".ckpt")
OBSOLETE_BUFFER = "rotary_emb.inv_freq"
"""A buffer that old versions of transformers wrote and newer ones compute."""
NAMES = {"pytorch_model": "model"}
"""Stems of safetensors files that differ from those of pickles in transformers; diffusers keeps the stem."""


def convert_folder(source: Path, folder: Path) -> list[str]:
    """Copy a folder, every pickle as safetensors, one in memory at a time; return the names of the converted files.

    Raises:
        ModelError: ``source`` is not a folder or has no pickles, or ``folder`` cannot be written.
        WeightsError: A pickle is damaged or contains code.
    """
    if not source.is_dir():
        raise ModelError(f"{source} is not a folder; expected one of transformers or diffusers. Check the path.")
    if not any(path.suffix in PICKLES for path in source.rglob("*")):
        raise ModelError(
            f"{source} has no weights to convert; expected files that end with {', '.join(PICKLES)}. Check the path; a "
            "folder of safetensors is used as it is."
        )
    converted = []
    with atomic_directory(folder, size_bytes=size_bytes(source)) as scratch:
        for path in sorted(path for path in source.rglob("*") if path.is_file()):
            name = path.relative_to(source)
            if any(step.startswith(".") for step in name.parts):  # caches of download tools
                continue
            (scratch / name).parent.mkdir(parents=True, exist_ok=True)
            if path.suffix in PICKLES:
                tensors = {key: value for key, value in read_pickle(path).items() if not key.endswith(OBSOLETE_BUFFER)}
                save_tensors(tensors, scratch / safetensors_name(name))
                converted.append(str(name))
            elif path.name == INDEXES[1]:
                write_index(json.loads(path.read_text())["weight_map"], scratch / name.parent)
            else:
                shutil.copy(path, scratch / name)
    return converted


def safetensors_name(name: Path) -> Path:
    """Return ``unet/diffusion_pytorch_model.safetensors`` for ``unet/diffusion_pytorch_model.bin``."""
    stem = name.stem
    for old, new in NAMES.items():
        stem = stem.replace(old, new, 1) if stem.startswith(old) else stem
    return name.with_name(f"{stem}.safetensors")


def write_index(weight_map: dict[str, str], folder: Path) -> None:
    """Write the index of sharded weights, in the format of transformers."""
    renamed = {
        key: str(safetensors_name(Path(file))) for key, file in weight_map.items() if not key.endswith(OBSOLETE_BUFFER)
    }
    (folder / INDEXES[0]).write_text(json.dumps({"metadata": {}, "weight_map": renamed}, indent=2) + "\n")
