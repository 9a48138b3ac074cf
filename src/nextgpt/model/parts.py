"""The frozen parts of a model: where each comes from, loaded when first needed, and kept."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Generic, TypeVar

from nextgpt.config import PartSource
from nextgpt.errors import ModelError

Loaded = TypeVar("Loaded")


class Part(Generic[Loaded]):
    """A part that costs nothing until it is asked for.

    Args:
        load: Makes or reads it.
        save: Writes it into a folder.
    """

    def __init__(self, load: Callable[[], Loaded], save: Callable[[Path], object]) -> None:
        self._load = load
        self.save = save

    @cached_property
    def loaded(self) -> Loaded:
        """The part itself."""
        return self._load()

    @property
    def is_loaded(self) -> bool:
        """Whether it was asked for already."""
        return "loaded" in self.__dict__


def part_from(source: PartSource, home: Path, load: Callable[[Path], Loaded]) -> Part[Loaded]:
    """A part that lives in a folder. Saving copies the folder, which changes no bit of frozen weights."""
    return Part(
        lambda: load(find_folder(source, home)), lambda target: _copy(find_folder(source, home), target)
    )


def _copy(source: Path, target: Path) -> None:
    if source.resolve() != target.resolve():
        shutil.copytree(source, target, dirs_exist_ok=True)


def find_folder(source: PartSource, home: Path) -> Path:
    """Where a part's files are; those of the Hub are fetched into its cache once. Raises :class:`ModelError`."""
    if source.hub is not None:
        return fetch(source.hub, source.revision)
    folder = home / str(source.path)
    if not folder.is_dir():
        raise ModelError(
            f"{folder} is missing; config.json in {home} names it. Fetch the whole model folder again."
        )
    return folder


def fetch(repository: str, revision: str | None = None, *, only: Sequence[str] | None = None) -> Path:
    """The local copy of a repository of the Hub, or of the files that match ``only``.

    Raises:
        ModelError: It cannot be had.
    """
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    try:
        return Path(
            snapshot_download(
                repository,
                revision=revision,
                allow_patterns=None if only is None else list(only),
                ignore_patterns=["*.bin", "*.pt", "*.pth", "*.ckpt"],
            )
        )
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError) as error:
        raise ModelError(
            f"{repository} cannot be fetched from the Hub ({type(error).__name__}); expected a repository that exists "
            "and a network. Check the name, or fetch it beforehand."
        ) from error
