"""The frozen parts of a model: where each comes from, loaded when first needed, and kept, or taking turns in memory."""

from __future__ import annotations

import errno
import shutil
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Generic, TypeVar

from nextgpt.config import ComponentSource
from nextgpt.errors import ModelError

Value = TypeVar("Loaded")

LOAD_LOCK = threading.RLock()
"""Held while anything is loaded or traced: libraries patch torch meanwhile, for every thread."""


class OffloadGroup:
    """Of the parts that take turns, the one that is in memory; for one answer at a time."""

    def __init__(self) -> None:
        self._resident: Component[Any] | None = None

    def activate(self, part: Component[Any]) -> None:
        """Let go the part that had its turn, where it is another."""
        if self._resident is not None and self._resident is not part:
            self._resident.offload()
        self._resident = part


class Component(Generic[Value]):
    """A part that costs nothing until it is asked for.

    Args:
        load: Makes or reads it.
        save: Writes it into a folder.
        turns: Where it takes turns with others; it stays where there is none.
        leave: What to do with it when its turn ends; it is forgotten, and loaded anew next time, where there is none.
        come_back: What to do with what left before it is used again.
    """

    def __init__(
        self,
        load: Callable[[], Value],
        save: Callable[[Path], object],
        *,
        group: OffloadGroup | None = None,
        offload: Callable[[Value], object] | None = None,
        onload: Callable[[Value], object] = lambda part: None,
    ) -> None:
        self._load = load
        self.save = save
        self._group = group
        self._offload = offload
        self._onload = onload
        self._value: list[Value] = []
        self._is_offloaded = False

    def get(self) -> Value:
        """The part itself, ready to work."""
        with LOAD_LOCK:
            if self._group is not None:
                self._group.activate(self)
            if not self._value:
                self._value.append(self._load())
            elif self._is_offloaded:
                self._onload(self._value[0])
            self._is_offloaded = False
            return self._value[0]

    @property
    def can_offload(self) -> bool:
        """Whether others may have to make room for it."""
        return self._group is not None

    @property
    def is_loaded(self) -> bool:
        """Whether it is in its place in memory."""
        return bool(self._value) and not self._is_offloaded

    def offload(self) -> None:
        """Make room: let it go, or to where it waits."""
        if not self.is_loaded:
            return
        if self._offload is None:
            self._value.clear()
        else:
            self._offload(self._value[0])
            self._is_offloaded = True


def component_from_dir(
    source: ComponentSource, model_dir: Path, load: Callable[[Path], Value], **offloading: Any
) -> Component[Value]:
    """A part that lives in a folder. Saving copies the folder, which changes no bit of frozen weights.

    ``turns`` are the further arguments of :class:`Part`.
    """
    return Component(
        lambda: load(resolve_component_dir(source, model_dir)),
        lambda target: _copy(resolve_component_dir(source, model_dir), target),
        **offloading,
    )


def _copy(source: Path, target: Path) -> None:
    if source.resolve() != target.resolve():
        shutil.copytree(source, target, dirs_exist_ok=True)


def resolve_component_dir(source: ComponentSource, model_dir: Path) -> Path:
    """Where a part's files are; those of the Hub are fetched into its cache once. Raises :class:`ModelError`."""
    if source.hub is not None:
        return download_snapshot(source.hub, source.revision)
    folder = model_dir / str(source.path)
    if not folder.is_dir():
        raise ModelError(
            f"{folder} is missing; config.json in {model_dir} names it. Fetch the whole model folder again."
        )
    return folder


def download_snapshot(
    repository: str, revision: str | None = None, *, allow_patterns: Sequence[str] | None = None
) -> Path:
    """The local copy of a repository of the Hub, or of the files that match ``only``, whole or not at all.

    Files that are there whole are not fetched again, so that a download that broke off is taken up by the next call.

    Raises:
        ModelError: It cannot be had; says whether for want of a network, of room, of rights, or of the repository.
    """
    from huggingface_hub import snapshot_download

    with _translate_hub_errors(repository):
        return Path(
            snapshot_download(
                repository,
                revision=revision,
                allow_patterns=None if allow_patterns is None else list(allow_patterns),
                ignore_patterns=["*.bin", "*.pt", "*.pth", "*.ckpt"],
            )
        )


@contextmanager
def _translate_hub_errors(repository: str) -> Iterator[None]:
    """Say in one line what went wrong with a download, and what to do."""
    from httpx2 import HTTPError
    from huggingface_hub.constants import HF_HUB_CACHE
    from huggingface_hub.errors import (
        GatedRepoError,
        HFValidationError,
        IncompleteSnapshotError,
        LocalEntryNotFoundError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    try:
        yield
    except GatedRepoError as error:
        told = "asks for its licence to be accepted; expected an account that did. Accept it there, then hf auth login"
        raise ModelError(f"{repository} {told}.") from error
    except (RepositoryNotFoundError, RevisionNotFoundError, HFValidationError) as error:
        raise ModelError(
            f"{repository} is not on the Hub, or not for you ({type(error).__name__}); expected owner/name of a "
            "repository, and one of its revisions. Check both, or hf auth login."
        ) from error
    except IncompleteSnapshotError as error:
        raise ModelError(
            f"{repository} was fetched in part only, and the Hub cannot be reached; expected the rest from there. Run "
            "this again with a network: what is whole is kept."
        ) from error
    except LocalEntryNotFoundError as error:
        raise ModelError(
            f"{repository} is not on this machine, and the Hub cannot be reached; expected a network. Connect, or "
            "fetch it beforehand with hf download."
        ) from error
    except (OSError, HTTPError, RuntimeError) as error:  # the last from the Hub's own transfer library
        if getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT):
            raise ModelError(
                f"{repository} does not fit on the disk of {HF_HUB_CACHE}; what came whole is kept. Free some room, or "
                "name another disk with HF_HOME, and run this again."
            ) from error
        raise ModelError(
            f"{repository} cannot be fetched from the Hub ({type(error).__name__}: {_first_line(error)}); expected a "
            "network that holds. Run this again: what came whole is kept."
        ) from error


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or ["no reason given"])[0]
