"""Join the downloaded components of a preset in a model folder; it has no trained projections yet."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

from nextgpt.config import read_config, write_config
from nextgpt.convert.weights_io import atomic_directory
from nextgpt.errors import ModelError, WeightsError
from nextgpt.presets import PRESETS, preset


def convert_parts(name: str, parts: Path, folder: Path) -> list[str]:
    """Join downloaded components with a preset's configs; return the components' names.

    Files are hard-linked if possible. The preset's own files (e.g. ``nextgpt.json``) are added.

    Raises:
        ModelError: A component, or a file that an index lists, is missing; or ``folder`` cannot be written.
        WeightsError: A weights file is truncated.
    """
    preset(name)
    config = read_config(PRESETS[name])
    for part in config.bundled_components:
        check_complete(parts / part)
    with atomic_directory(folder, size_bytes=0) as scratch:
        for part in config.bundled_components:
            shutil.copytree(
                parts / part, scratch / part, copy_function=_link_files, ignore=shutil.ignore_patterns(".*")
            )
            for path in sorted((PRESETS[name] / part).rglob("*.json")):
                target = scratch / part / path.relative_to(PRESETS[name] / part)
                if not target.exists():
                    target.parent.mkdir(parents=True, exist_ok=True)
                    shutil.copy(path, target)
        write_config(config, scratch)
    return config.bundled_components


def check_complete(folder: Path) -> None:
    """Check that a component was downloaded completely. Raises as :func:`convert_parts`."""
    from safetensors import SafetensorError, safe_open

    weights = sorted(folder.rglob("*.safetensors")) if folder.is_dir() else []
    if not weights:
        raise ModelError(f"{folder} has no weights; expected a downloaded component. Run its download command first.")
    for path in weights:
        try:
            with safe_open(path, framework="np"):
                pass
        except (SafetensorError, OSError) as error:
            raise WeightsError(
                f"{path} is damaged ({error}); expected a complete safetensors file. Download it again."
            ) from error
    for path in sorted(folder.rglob("*.safetensors.index.json")):
        named = set(json.loads(path.read_text(encoding="utf-8"))["weight_map"].values())
        missing = sorted(file for file in named if not (path.parent / file).is_file())
        if missing:
            raise ModelError(
                f"{path.parent} lacks {', '.join(missing)}, which {path.name} lists. Run the download command again; "
                "complete files are kept."
            )


def _link_files(source: str, target: str) -> None:
    try:
        os.link(os.path.realpath(source), target)
    except OSError:  # another disk, or a file system without hard links
        shutil.copy2(source, target)
