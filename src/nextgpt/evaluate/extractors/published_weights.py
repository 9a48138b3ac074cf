"""Published weights files: read without running code, checked, and converted once to safetensors in a cache."""

from __future__ import annotations

import os
import pickle
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from nextgpt.errors import WeightsError
from nextgpt.evaluate.extractors.files import file_hash
from nextgpt.model.safetensors_io import read_safetensors

Select = Callable[[Any], Mapping[str, Tensor]]
"""Returns the tensors of a network from what a file holds."""
LISTED = 3
"""Names of tensors in an error."""
_NUMPY_SCALARS = [
    np._core.multiarray.scalar,  # type: ignore[attr-defined]
    (np._core.multiarray.scalar, "numpy.core.multiarray.scalar"),  # type: ignore[attr-defined]
    np.dtype,
    *(type(np.dtype(kind)) for kind in ("int64", "float64")),
]
"""Plain numbers that some published files hold besides tensors; NumPy 2 writes them under another name."""


def load_published(
    network: nn.Module, path: Path, *, name: str, expected: str, select: Select | None = None, ignored: str = "\0"
) -> None:
    """Load a published file into a network.

    The first call writes the tensors to the cache as safetensors; later calls read that file, by the hash of the
    published one.

    Args:
        name: Name of the extractor.
        expected: Name of the published file, for errors.
        select: Returns the network's tensors from the content; the content itself if omitted.
        ignored: Prefix of tensors that the network does not need.

    Raises:
        WeightsError: The file is missing, damaged, wants to run code, or holds the weights of another network.
    """
    digest = file_hash(path)
    cached = cache_dir() / f"{name}-{digest}.safetensors"
    if cached.is_file():
        tensors = read_safetensors(cached)
    else:
        content = read_safetensors(path) if path.suffix == ".safetensors" else _read_pickle(path, name, expected)
        try:
            chosen = dict(select(content) if select else content)
            tensors = {key: value for key, value in chosen.items() if not key.startswith(ignored)}
        except (KeyError, TypeError, IndexError, AttributeError, ValueError):
            raise WeightsError(f"{name}: {path} has other content than {expected}; give that file.") from None
    _check(network, tensors, path, name, expected)
    network.load_state_dict(tensors)
    if not cached.is_file():
        _write_cache(tensors, cached)
    network.eval().requires_grad_(False)


def cache_dir() -> Path:
    """Return the folder of converted weights, in ``$XDG_CACHE_HOME`` or ``~/.cache``."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "nextgpt" / "extractors"


def _read_pickle(path: Path, name: str, expected: str) -> Any:
    try:
        with torch.serialization.safe_globals(_NUMPY_SCALARS):
            return torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, OSError, ValueError, KeyError, TypeError):
        raise WeightsError(
            f"{name}: {path} is damaged, wants to run code, or is no file of torch.save; expected {expected}. "
            "Get the file from its authors."
        ) from None


def _check(network: nn.Module, tensors: Mapping[str, Any], path: Path, name: str, expected: str) -> None:
    """Compare names and shapes with the network's; counters of batch norms may be missing."""
    required = {key: value for key, value in network.state_dict().items() if not key.endswith("num_batches_tracked")}
    loaded = {key: value for key, value in tensors.items() if isinstance(value, Tensor)}
    for key, value in network.state_dict().items():
        if key not in required and key not in loaded:
            loaded[key] = tensors[key] = value  # type: ignore[index]
    problems = {
        "missing": sorted(required.keys() - loaded.keys()),
        "unexpected": sorted(tensors.keys() - network.state_dict().keys()),
        "of another shape": sorted(
            key for key in required.keys() & loaded.keys() if required[key].shape != loaded[key].shape
        ),
    }
    listed = [f"{len(keys)} {problem}: {', '.join(keys[:LISTED])}" for problem, keys in problems.items() if keys]
    if listed:
        raise WeightsError(f"{name}: {path} holds other weights than {expected} ({'; '.join(listed)}); give that file.")


def _write_cache(tensors: Mapping[str, Tensor], target: Path) -> None:
    """Write under a temporary name and rename, so that an interruption leaves no partial file."""
    target.parent.mkdir(parents=True, exist_ok=True)
    handle, scratch = tempfile.mkstemp(prefix=f".{target.name}-", dir=target.parent)
    os.close(handle)
    try:
        save_file({key: value.clone().contiguous() for key, value in tensors.items()}, scratch)
        Path(scratch).replace(target)
    finally:
        Path(scratch).unlink(missing_ok=True)
