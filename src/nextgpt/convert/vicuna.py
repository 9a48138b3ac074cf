"""Vicuna-7B v0 was published as a difference from LLaMA: adding the two gives the model."""

from __future__ import annotations

import shutil
from pathlib import Path

from torch import Tensor

from nextgpt.convert.pickle_folder import OBSOLETE_BUFFER, safetensors_name, write_index
from nextgpt.convert.weights_io import INDEXES, atomic_directory, save_tensors, shards, size_bytes
from nextgpt.errors import ModelError, WeightsError


def convert_vicuna(base: Path, delta: Path, folder: Path) -> int:
    """Write ``base`` plus ``delta``, sharded as ``delta`` is; return the number of tensors.

    The two may be sharded differently; one file of ``delta`` is in memory at a time, ``base`` is memory-mapped.
    Rows that only the delta has (its padding token) are dropped, so that the vocabulary is that of LLaMA.

    Raises:
        ModelError: A folder is missing, or ``folder`` cannot be written.
        WeightsError: The two do not have the same tensors; those that differ are listed.
    """
    for source in (base, delta):
        if not (source / "config.json").is_file():
            raise ModelError(f"{source} has no config.json; expected a LLaMA of transformers. Check the path.")
    own = {
        name: tensor for _, held in shards(base) for name, tensor in held.items() if not name.endswith(OBSOLETE_BUFFER)
    }
    weight_map: dict[str, str] = {}
    with atomic_directory(folder, size_bytes=size_bytes(base)) as scratch:
        for file, held in shards(delta):
            added = {
                name: _add(name, own, tensor) for name, tensor in held.items() if not name.endswith(OBSOLETE_BUFFER)
            }
            save_tensors(added, scratch / safetensors_name(Path(file)))
            weight_map |= dict.fromkeys(added, file)
        if own.keys() != weight_map.keys():
            raise WeightsError(
                f"{delta} does not fit {base}. Missing: {', '.join(sorted(own.keys() - weight_map.keys()))}. "
                "Take the delta that was made for this LLaMA."
            )
        if len(set(weight_map.values())) > 1:
            write_index(weight_map, scratch)
        _copy_rest(base, scratch)
    return len(weight_map)


def _add(name: str, base: dict[str, Tensor], delta: Tensor) -> Tensor:
    if name not in base or base[name].shape[1:] != delta.shape[1:] or len(base[name]) > len(delta):
        came = tuple(base[name].shape) if name in base else "none"
        raise WeightsError(
            f"The delta's {name} is {tuple(delta.shape)}, that of LLaMA {came}; expected the same. "
            "Take the delta that was made for this LLaMA."
        )
    return (base[name].float() + delta[: len(base[name])].float()).to(base[name].dtype)


def _copy_rest(source: Path, folder: Path) -> None:
    """Copy configs and the tokenizer."""
    for path in source.iterdir():
        if path.is_file() and path.suffix in (".json", ".model", ".txt") and path.name not in INDEXES:
            shutil.copy(path, folder / path.name)
