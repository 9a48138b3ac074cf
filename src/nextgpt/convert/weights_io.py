"""Read published weights files (pickles without running code, safetensors), and write directories atomically."""

from __future__ import annotations

import json
import pickle
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor

from nextgpt.errors import ModelError, WeightsError
from nextgpt.model.safetensors_io import read_safetensors

INDEXES = ("model.safetensors.index.json", "pytorch_model.bin.index.json")
SINGLE_FILES = ("model.safetensors", "pytorch_model.bin")


def read_pickle(path: Path) -> dict[str, Tensor]:
    """Read a file that ``torch.save`` wrote, mapped into memory where its format allows.

    Raises:
        WeightsError: The file is missing, truncated, no pickle, contains code, or holds more than named tensors.
    """
    if not path.is_file():
        raise WeightsError(f"{path} is missing; expected weights that torch.save wrote. Check the path.")
    try:
        held = torch.load(path, map_location="cpu", weights_only=True, mmap=_is_zip(path))
    except pickle.UnpicklingError as error:
        raise WeightsError(
            f"{path} contains code or is no pickle ({_first_line(error)}), so it was not read; expected tensors only. "
            "Download the file of its authors."
        ) from None
    except (RuntimeError, EOFError, OSError, ValueError, KeyError, TypeError) as error:
        raise WeightsError(
            f"{path} is damaged ({_first_line(error)}); expected a whole file of torch.save. Fetch it again."
        ) from None
    others = [] if isinstance(held, dict) else [type(held).__name__]
    others += [str(key) for key, value in dict(held).items() if not isinstance(value, Tensor)] if not others else []
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
    """Yield the weights files of a transformers folder, one in memory at a time; safetensors are preferred.

    Raises:
        WeightsError: There are none, or one is missing or damaged.
    """
    for name in _shard_names(folder):
        yield name, read_weights(folder / name)


def has_shards(folder: Path) -> bool:
    """Return whether :func:`shards` finds weights in a folder."""
    return any((folder / name).is_file() for name in (*INDEXES, *SINGLE_FILES))


def _shard_names(folder: Path) -> list[str]:
    for index in INDEXES:
        if (folder / index).is_file():
            return list(dict.fromkeys(json.loads((folder / index).read_text())["weight_map"].values()))
    for name in SINGLE_FILES:
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


@contextmanager
def atomic_directory(target: Path, *, size_bytes: int) -> Iterator[Path]:
    """Yield a temporary folder that is renamed to ``target`` on success and removed otherwise.

    Raises:
        ModelError: ``target`` holds something, there is no room for ``size_bytes``, or the system refuses to write.
    """
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise ModelError(f"{target} holds something already; expected a new folder. Name another, or remove it.")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(target.parent).free
        if free < size_bytes:
            raise ModelError(
                f"{target} needs {size_bytes / 1e9:.2f} GB; the disk has {free / 1e9:.2f} GB left. Free some, or name "
                "a folder on another disk."
            )
        scratch = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
    except OSError as error:
        raise _refused(target, error) from error
    try:
        yield scratch
        scratch.chmod(0o755)
        if target.is_dir():
            target.rmdir()
        scratch.rename(target)
    except (OSError, SafetensorError) as error:
        raise _refused(target, error) from error
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def save_tensors(tensors: Mapping[str, Tensor], path: Path, *, dtype: torch.dtype | None = None) -> None:
    """Write tensors as safetensors; tensors that share memory are copied."""
    written = {
        name: tensor.to(dtype or tensor.dtype).clone().contiguous()
        if _is_shared(tensor)
        else tensor.to(dtype or tensor.dtype).contiguous()
        for name, tensor in tensors.items()
    }
    save_file(written, path, metadata={"format": "pt"})


def size_bytes(folder: Path) -> int:
    """Return the total size of a folder's files."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _is_shared(tensor: Tensor) -> bool:
    """Return whether a tensor is a view of a larger storage, which safetensors would refuse or write completely."""
    return tensor.untyped_storage().nbytes() != tensor.nbytes


def _refused(target: Path, error: Exception) -> ModelError:
    reason = getattr(error, "strerror", None) or str(error)
    return ModelError(f"{target} cannot be written ({reason}); expected a disk with room and rights. Check both.")
