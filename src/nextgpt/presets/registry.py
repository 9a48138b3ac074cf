"""The table of presets: configs of models whose weights are downloaded separately.

A preset is a sub-folder of this package: a model folder without weights (``config.json``, the components' configs, and
cards with licence and source), plus ``preset.json``, which is read here.
"""

from __future__ import annotations

import json
import os
from functools import cache
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from nextgpt.errors import ModelError, unknown_name_message

PRESETS: dict[str, Path] = {name: Path(__file__).parent / name for name in ("paper", "paper-v2", "open")}
"""Folders of configs by name."""
PRESET_FILE = "preset.json"
HOME_VARIABLE = "NEXTGPT_HOME"
"""Environment variable with the folder of the presets' models."""


class _Entry(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Download(_Entry):
    """Files of one component."""

    part: str
    files: tuple[str, ...]
    """Names or patterns of the needed files."""
    source: str
    """A URL, or a Hub repository."""
    size_gb: float
    """Total size in 10^9 bytes."""
    licence: str
    download_command: str
    """Command that downloads the files; a repeated run resumes."""
    convert_command: str | None = None
    """Command that converts them to this project's layout."""


class PublishedFacts(_Entry):
    """Published numbers of a model."""

    trainable: str
    parameters: str
    note: str


class Preset(_Entry):
    """A preset with the downloads and commands that it needs."""

    title: str
    downloads: tuple[Download, ...]
    final_command: str
    """Command after all downloads."""
    published: PublishedFacts | None = None

    @property
    def size_gb(self) -> float:
        """Total size of all downloads in 10^9 bytes."""
        return sum(download.size_gb for download in self.downloads)

    @property
    def licences(self) -> tuple[str, ...]:
        """Licences without duplicates."""
        return tuple(dict.fromkeys(download.licence for download in self.downloads))


@cache
def preset(name: str) -> Preset:
    """Read a preset. Raises :class:`ModelError` for an unknown name."""
    if name not in PRESETS:
        raise ModelError(unknown_name_message("preset", name, PRESETS))
    return Preset.model_validate(json.loads((PRESETS[name] / PRESET_FILE).read_text(encoding="utf-8")))


def presets_dir(name: str) -> Path:
    """Return a preset's model folder, under ``NEXTGPT_HOME`` or the user's cache; it need not exist."""
    root = os.environ.get(HOME_VARIABLE)
    return (Path(root) if root else Path("~/.cache/nextgpt")).expanduser() / name


def setup_commands(name: str) -> tuple[str, ...]:
    """Return the lines that tell how to download and convert a preset's parts; commands are indented.

    Raises:
        ModelError: The preset is unknown.
    """
    wanted = preset(name)
    lines = [f"{wanted.size_gb:.1f} GB in all; a repeated command resumes an interrupted download."]
    for number, download in enumerate(wanted.downloads, start=1):
        lines.append(
            f"{number}. {download.part}: {', '.join(download.files)} from {download.source} ({download.size_gb:g} GB)"
        )
        lines += [f"   {command}" for command in (download.download_command, download.convert_command) if command]
    lines += [f"{len(wanted.downloads) + 1}. all parts:", f"   {wanted.final_command}"]
    return tuple(lines)


def installed_preset_dir(name: str) -> Path:
    """Return a preset's model folder. Raises :class:`ModelError` if it is not installed."""
    folder = presets_dir(name)
    if (folder / "config.json").is_file():
        return folder
    raise ModelError(
        f"The model {name!r} is not on this machine; expected it in {folder}. Download and convert its parts "
        f"({preset(name).size_gb:.1f} GB): nextgpt models --setup {name} prints the commands."
    )
