"""Read weights files of others: pickles as data alone, and safetensors. No code that a file holds is ever run."""

from __future__ import annotations

import json
import pickle
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor

from nextgpt.errors import WeightsError
from nextgpt.model.tensors import read_safetensors

INDEXES = ("model.safetensors.index.json", "pytorch_model.bin.index.json")


def read_pickle(path: Path) -> dict[str, Tensor]:
    """Read a file that ``torch.save`` wrote, mapped into memory where its format allows.

    Raises:
        WeightsError: It is missing, cut off, no such file, wants to run code, or holds more than named tensors.
    """
    if not path.is_file():
        raise WeightsError(f"{path} is missing; expected weights that torch.save wrote. Check the path.")
    try:
        held = torch.load(path, map_location="cpu", weights_only=True, mmap=_is_zip(path))
    except pickle.UnpicklingError as error:
        raise WeightsError(
            f"{path} asks for code to be run or is no pickle ({_first_line(error)}); expected tensors alone. "
            "It is not read. Get the file from its authors."
        ) from None
    except (RuntimeError, EOFError, OSError, ValueError, KeyError, TypeError) as error:
        raise WeightsError(
            f"{path} is damaged ({_first_line(error)}); expected a whole file of torch.save. Fetch it again."
        ) from None
    others = [] if isinstance(held, dict) else [type(held).__name__]
    others += (
        [str(key) for key, value in dict(held).items() if not isinstance(value, Tensor)] if not others else []
    )
    if others:
        raise WeightsError(
            f"{path} holds {', '.join(others[:5])} besides tensors; expected named tensors alone. "
            "Take the file of weights, not that of a training's state."
        )
    return held


def read_weights(path: Path) -> dict[str, Tensor]:
    """Read one file in either format, by its suffix. Raises :class:`WeightsError`."""
    return read_safetensors(path) if path.suffix == ".safetensors" else read_pickle(path)


def shards(folder: Path) -> Iterator[tuple[str, dict[str, Tensor]]]:
    """The weights files of a transformers folder by name, one in memory at a time; safetensors where there are both.

    Raises:
        WeightsError: There are none, or one is missing or damaged.
    """
    for name in _shard_names(folder):
        yield name, read_weights(folder / name)


def _shard_names(folder: Path) -> list[str]:
    for index in INDEXES:
        if (folder / index).is_file():
            return list(dict.fromkeys(json.loads((folder / index).read_text())["weight_map"].values()))
    for name in ("model.safetensors", "pytorch_model.bin"):
        if (folder / name).is_file():
            return [name]
    raise WeightsError(
        f"{folder} has no weights; expected model.safetensors or pytorch_model.bin, whole or in parts with an index. "
        "Fetch the model again."
    )


def _is_zip(path: Path) -> bool:
    """Files of torch 1.6 and later are zip archives, which can be mapped."""
    with path.open("rb") as file:
        return file.read(4) == b"PK\x03\x04"


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
