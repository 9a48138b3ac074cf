"""Models of known design that do not come with the package: their configs, what they need, and where it is to be had.

A preset is a folder beside this file. It looks like a model folder without weights: ``config.json``, the configs of
every part with a card that names licence and source, and ``preset.json``, read here. Nothing here reads weights.
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
"""The environment variable that says where models of presets are kept."""


class _Entry(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Download(_Entry):
    """Files of one part."""

    part: str
    files: tuple[str, ...]
    """Names or patterns; nothing else of the source is needed."""
    source: str
    """An address, or a repository of the Hub."""
    size_gb: float
    """10^9 bytes, of these files together."""
    licence: str
    download_command: str
    """The command that fetches them; started again it fetches what is not there whole."""
    convert_command: str | None = None
    """The command that brings them into this project's form."""


class PublishedFacts(_Entry):
    """What its authors say of a model, beside what its configs give."""

    trainable: str
    parameters: str
    note: str


class Preset(_Entry):
    """What a preset is, and what must be fetched and done to run it."""

    title: str
    downloads: tuple[Download, ...]
    final_command: str
    """What is done once all files are there."""
    published: PublishedFacts | None = None

    @property
    def size_gb(self) -> float:
        """10^9 bytes that all downloads take."""
        return sum(download.size_gb for download in self.downloads)

    @property
    def licences(self) -> tuple[str, ...]:
        """Every licence, once."""
        return tuple(dict.fromkeys(download.licence for download in self.downloads))


@cache
def preset(name: str) -> Preset:
    """What is known of a preset. Raises :class:`ModelError` for an unknown name."""
    if name not in PRESETS:
        raise ModelError(unknown_name_message("preset", name, PRESETS))
    return Preset.model_validate(json.loads((PRESETS[name] / PRESET_FILE).read_text(encoding="utf-8")))


def presets_dir(name: str) -> Path:
    """Where a preset's model folder is expected: under ``NEXTGPT_HOME``, else under the user's cache."""
    root = os.environ.get(HOME_VARIABLE)
    return (Path(root) if root else Path("~/.cache/nextgpt")).expanduser() / name


def installed_preset_dir(name: str) -> Path:
    """A preset's model folder. Raises :class:`ModelError` that says which files to get from where, and what to do."""
    folder = presets_dir(name)
    if (folder / "config.json").is_file():
        return folder
    wanted = preset(name)
    files = "; ".join(
        f"({number}) {download.part}: {', '.join(download.files)} from {download.source} "
        f"({download.size_gb:g} GB): {download.download_command}"
        + (f" && {download.convert_command}" if download.convert_command else "")
        for number, download in enumerate(wanted.downloads, start=1)
    )
    raise ModelError(
        f"The model {name!r} is not on this machine; expected it in {folder}. Get {wanted.size_gb:.1f} GB, where a "
        f"command that is run again takes up a broken download: {files}. Then: {wanted.final_command}"
    )
