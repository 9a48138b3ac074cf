"""Files of tensors, whole and fitting, or an error that says what is wrong with which file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from nextgpt.errors import WeightsError


def read_safetensors(path: Path) -> dict[str, Tensor]:
    """Read a safetensors file. Raises :class:`WeightsError` where it is missing or damaged."""
    if not path.is_file():
        raise WeightsError(f"{path} is missing; expected the model's weights there. Fetch the model again.")
    try:
        return load_file(path)
    except (SafetensorError, OSError, ValueError, KeyError) as error:
        raise WeightsError(
            f"{path} is damaged ({error}); expected a whole safetensors file. Fetch the model again."
        ) from error


def check_state_dict(path: Path, tensors: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> None:
    """Raise :class:`WeightsError` that names every missing and unexpected key, and every shape that differs."""
    faults = {
        "missing": sorted(expected.keys() - tensors.keys()),
        "unexpected": sorted(tensors.keys() - expected.keys()),
        "of another shape": [
            f"{name} {tuple(tensors[name].shape)} instead of {tuple(expected[name].shape)}"
            for name in sorted(expected.keys() & tensors.keys())
            if tensors[name].shape != expected[name].shape
        ],
    }
    listed = "; ".join(
        f"{len(names)} {fault}: {', '.join(names)}" for fault, names in faults.items() if names
    )
    if listed:
        raise WeightsError(
            f"{path} does not fit its config.json ({listed}); expected exactly the {len(expected)} tensors of the "
            "config. Take both files from the same model."
        )
