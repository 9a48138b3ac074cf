"""A folder that is whole or not there: it is written beside its place and moved there at the end."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor

from nextgpt.errors import ModelError


@contextmanager
def new_folder(target: Path, *, size_bytes: int) -> Iterator[Path]:
    """A folder to write into, which becomes ``target`` if nothing goes wrong and vanishes otherwise.

    Raises:
        ModelError: ``target`` holds something, there is no room for ``size_bytes``, or the system refuses to write.
    """
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise ModelError(
            f"{target} holds something already; expected a new folder. Name another, or remove it."
        )
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
    """Write tensors as safetensors; those that share memory are parted."""
    written = {
        name: tensor.to(dtype or tensor.dtype).clone().contiguous()
        if _is_shared(tensor)
        else tensor.to(dtype or tensor.dtype).contiguous()
        for name, tensor in tensors.items()
    }
    save_file(written, path, metadata={"format": "pt"})


def size_bytes(folder: Path) -> int:
    """What the files of a folder take together."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _is_shared(tensor: Tensor) -> bool:
    """Whether a tensor is a part of a larger storage, which safetensors would refuse or write whole."""
    return tensor.untyped_storage().nbytes() != tensor.nbytes


def _refused(target: Path, error: Exception) -> ModelError:
    reason = getattr(error, "strerror", None) or str(error)
    return ModelError(
        f"{target} cannot be written ({reason}); expected a disk with room and rights. Check both."
    )
