"""LLMs that a Python package carries as a GGUF file: converted once into the user's cache, checked by their hash.

The package is not imported, and its dependencies need not be installed. After the conversion neither the package nor a
network is needed.
"""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from nextgpt.config import PackageSource
from nextgpt.errors import ModelError
from nextgpt.presets import presets_dir

COMPLETE_MARKER = "converted.txt"
"""File that is written last into a converted folder; holds the hash of the GGUF file."""


def converted_dir(package: PackageSource) -> Path:
    """Return the folder into which the package's file is converted."""
    return presets_dir("converted") / f"{package.name}-{package.version}-{package.sha256[:12]}"


def is_converted(package: PackageSource) -> bool:
    """Return whether the converted folder is complete."""
    marker = converted_dir(package) / COMPLETE_MARKER
    return marker.is_file() and marker.read_text(encoding="utf-8").strip() == package.sha256


def is_installed(package: PackageSource) -> bool:
    """Return whether the package is installed, in any version."""
    try:
        distribution(package.name)
    except PackageNotFoundError:
        return False
    return True


def resolve_package(package: PackageSource) -> Path:
    """Return the folder of the converted LLM; convert it if necessary.

    Raises:
        ModelError: The package is missing, its file is not the expected one, or the conversion failed.
    """
    target = converted_dir(package)
    if is_converted(package):
        return target
    file = _installed_file(package)
    with file.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    if digest != package.sha256:
        raise ModelError(
            f"{file} has the SHA-256 {digest}; expected {package.sha256}. Install the version that config.json names: "
            f"{package.install_command}"
        )
    from nextgpt.model.llm.gguf import convert_gguf

    target.parent.mkdir(parents=True, exist_ok=True)
    # Renaming a finished folder is atomic: another process may convert the same file at the same time.
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=target.name) as temporary:
        unfinished = Path(temporary) / "llm"
        unfinished.mkdir()
        convert_gguf(file, unfinished)
        (unfinished / COMPLETE_MARKER).write_text(package.sha256 + "\n", encoding="utf-8")
        if target.exists() and not is_converted(package):
            shutil.rmtree(target)
        if not target.exists():
            unfinished.rename(target)
    return target


def _installed_file(package: PackageSource) -> Path:
    try:
        file = Path(str(distribution(package.name).locate_file(package.file)))
    except PackageNotFoundError:
        file = None
    if file is None or not file.is_file():
        raise ModelError(
            f"The package {package.name} is not installed; expected its file {package.file}, which config.json names "
            f"as a source of the LLM. Install it: {package.install_command}"
        )
    return file
