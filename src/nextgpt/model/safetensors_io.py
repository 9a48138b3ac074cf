"""Read safetensors files and check them against the expected state dict."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from torch import Tensor
from torch.overrides import TorchFunctionMode

from nextgpt.errors import WeightsError


class _SkipInitialization(TorchFunctionMode):
    """Makes the functions of ``torch.nn.init`` do nothing."""

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if getattr(func, "__module__", None) == "torch.nn.init":
            return kwargs["tensor"] if kwargs and "tensor" in kwargs else args[0]
        return func(*args, **(kwargs or {}))


@contextmanager
def without_weights() -> Iterator[None]:
    """Create modules on the meta device, for ``load_state_dict(…, assign=True)``.

    On the meta device, initialization alone would import ``torch._dynamo``, which takes a second.
    """
    with torch.device("meta"), _SkipInitialization():
        yield


@contextmanager
def open_safetensors(path: Path) -> Iterator[Any]:
    """Open a safetensors file for lazy reading. Raises :class:`WeightsError` for a missing or damaged file."""
    try:
        with safe_open(path, framework="pt") as file:
            yield file
    except (SafetensorError, OSError) as error:
        raise _damaged(path, error) from error


def read_safetensors(path: Path) -> dict[str, Tensor]:
    """Read all tensors of a file. Raises :class:`WeightsError` for a missing or damaged file."""
    if not path.is_file():
        raise WeightsError(f"{path} is missing; expected the model's weights. Download the model again.")
    try:
        return load_file(path)
    except (SafetensorError, OSError, ValueError, KeyError) as error:
        raise _damaged(path, error) from error


def _damaged(path: Path, error: Exception) -> WeightsError:
    return WeightsError(f"{path} is damaged ({error}); expected a complete safetensors file. Download the model again.")


def check_state_dict(path: Path, tensors: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> None:
    """Raise :class:`WeightsError` that lists all missing and unexpected keys and all differing shapes."""
    problems = {
        "missing": sorted(expected.keys() - tensors.keys()),
        "unexpected": sorted(tensors.keys() - expected.keys()),
        "of another shape": [
            f"{name} {tuple(tensors[name].shape)} instead of {tuple(expected[name].shape)}"
            for name in sorted(expected.keys() & tensors.keys())
            if tensors[name].shape != expected[name].shape
        ],
    }
    listed = "; ".join(f"{len(names)} {problem}: {', '.join(names)}" for problem, names in problems.items() if names)
    if listed:
        raise WeightsError(
            f"{path} does not fit its config.json ({listed}); expected exactly the {len(expected)} tensors of the "
            "config. Take both files from the same model."
        )
