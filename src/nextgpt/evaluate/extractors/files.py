"""Files of extractors: those of installed packages, and hashes that identify weights. Imports no torch."""

from __future__ import annotations

from hashlib import blake2b
from importlib.util import find_spec
from pathlib import Path

from nextgpt.errors import ConfigError, WeightsError


def package_file(package: str, relative: str, install: str) -> Path:
    """Return a file of an installed package without importing it.

    Raises:
        ConfigError: The package or the file is missing; the message has the command that installs it.
    """
    spec = find_spec(package)
    folders = list(spec.submodule_search_locations or ()) if spec else []
    path = Path(folders[0]) / relative if folders else None
    if path is None or not path.exists():
        raise ConfigError(f"the package {package} is missing; run `{install}`.")
    return path


def folder_weights(path: Path, name: str, expected: str) -> Path:
    """Return the weights of a transformers folder. Raises :class:`WeightsError` if it has none."""
    weights = path / "model.safetensors"
    if not weights.is_file():
        raise WeightsError(
            f"{name}: {path} has no model.safetensors; expected the {expected}. "
            "Convert pytorch_model.bin with transformers' save_pretrained, or fetch the safetensors file."
        )
    return weights


def file_hash(path: Path) -> str:
    """Return the hexadecimal hash of a file's bytes. Raises :class:`WeightsError` if it cannot be read."""
    digest = blake2b(digest_size=16)
    try:
        with path.open("rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
    except OSError as error:
        raise WeightsError(
            f"{path} cannot be read ({error.strerror}); expected a file of weights. Check the path."
        ) from None
    return digest.hexdigest()
