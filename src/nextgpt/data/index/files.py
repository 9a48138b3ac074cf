"""Files of an index: their names, the manifest, the lines of items, and writing that survives a kill.

A file appears under its name only when it is complete and on disk; the manifest appears last.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
from jaxtyping import Float
from pydantic import Field

from nextgpt.config import Config, parse_config
from nextgpt.data.record import MediaFile
from nextgpt.errors import ConfigError

MANIFEST, ITEMS, OFFSETS, CALIBRATION = "manifest.json", "items.jsonl", "items.npy", "calibration.json"
LISTS_SUFFIX = ".captions.faiss"
FORMAT = 2
"""Raised when vectors or files change their meaning. 2: media have the vector of their class token; words."""


Dtype = Literal["float32", "float16"]
"""dtype of vectors on disk; searches compute in float32."""


class ModalityRange(Config):
    """Items of one modality: a range of lines in ``items.jsonl``."""

    start: int
    count: int


class Manifest(Config):
    """Content of ``manifest.json``: what an index was built from."""

    format: int = FORMAT
    model: str
    """Name or folder of the model whose components made the vectors."""
    corpora: dict[str, str]
    """Fingerprint of each corpus, by name."""
    components: dict[str, str]
    """Hashes of the model's encoder and text encoders."""
    source: str = ""
    """Source of the items that name none."""
    licence: str = ""
    """Licence of the items that name none."""
    dtype: Dtype = "float32"
    approximate: bool = False
    """True if there are lists for approximate search."""
    ranges: dict[str, ModalityRange] = Field(default_factory=dict)
    """Item numbers by modality; empty until the index is complete."""


class Calibration(Config):
    """Content of ``calibration.json``: scores from which ``auto`` retrieves, by modality, and their evidence."""

    thresholds: dict[str, float]
    condition_means: dict[str, list[float]] = Field(default_factory=dict)
    """Means of the model's conditions; see :meth:`.media_index.MediaIndex.with_condition_mean`."""
    evidence: dict[str, dict[str, float]] = Field(default_factory=dict)


def read_manifest(folder: Path) -> Manifest:
    """Read the manifest of a complete index. Raises :class:`ConfigError`."""
    path = folder / MANIFEST
    if not path.is_file():
        state = "is incomplete" if (folder / "parts").is_dir() else "holds no index"
        raise ConfigError(
            f"{folder} {state}; expected {MANIFEST}, which is written last. Run nextgpt data index CORPUS --out "
            f"{folder}; an interrupted build continues."
        )
    values = _read_json(path)
    if values.get("format") != FORMAT:
        raise ConfigError(f"{path} has the format {values.get('format')}; expected {FORMAT}. Build the index again.")
    return parse_config(Manifest, values, where=str(path))


def read_calibration(folder: Path) -> Calibration:
    """Read the thresholds of an index; without the file there are none. Raises :class:`ConfigError`."""
    path = folder / CALIBRATION
    return (
        parse_config(Calibration, _read_json(path), where=str(path)) if path.is_file() else Calibration(thresholds={})
    )


def read_condition_mean(folder: Path, modality: str) -> Float[np.ndarray, " C"] | None:
    """Return the mean of a model's conditions if the index is calibrated."""
    mean = read_calibration(folder).condition_means.get(modality)
    return None if mean is None else np.array(mean, np.float32)


def _read_json(path: Path) -> dict[str, Any]:
    try:
        values = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path} cannot be read ({error}); expected JSON. Build the index again.") from error
    return values if isinstance(values, dict) else {}


def format_item(item_id: str, medium: MediaFile, folder: Path) -> bytes:
    """Return the line of an item; its path is relative to the index."""
    path = Path(os.path.relpath(medium.path.resolve(), folder.resolve())).as_posix()
    values: dict[str, Any] = {"id": item_id, "modality": medium.modality, "path": path}
    if medium.byte_range is not None:
        values |= {"member": medium.member, "byte_range": medium.byte_range}
    values |= {name: text for name in ("caption", "source", "licence") if (text := getattr(medium, name))}
    return json.dumps(values, ensure_ascii=False).encode() + b"\n"


def parse_item(line: bytes, folder: Path, manifest: Manifest) -> tuple[str, MediaFile]:
    """Parse the line of an item to its id and medium."""
    values: Mapping[str, Any] = json.loads(line)
    byte_range = values.get("byte_range")
    medium = MediaFile(
        values["modality"],
        Path(os.path.normpath(folder / values["path"])),
        values.get("member", ""),
        tuple(byte_range) if byte_range else None,
        caption=values.get("caption", ""),
        source=values.get("source", manifest.source),
        licence=values.get("licence", manifest.licence),
    )
    return values["id"], medium
