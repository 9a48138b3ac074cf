"""Download models from the Hugging Face Hub, and translate its errors into one line each."""

from __future__ import annotations

import errno
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from nextgpt.config import ComponentSource
from nextgpt.errors import ModelError
from nextgpt.model.package_source import is_converted, is_installed, resolve_package

PICKLES = ["*.bin", "*.pt", "*.pth", "*.ckpt"]


def resolve_component_dir(source: ComponentSource, model_dir: Path) -> Path:
    """Return the folder of a component; convert or download it once. Raises :class:`ModelError`."""
    package = source.package
    if package is not None and (is_converted(package) or is_installed(package)):
        return resolve_package(package)
    if source.hub is not None:
        try:
            return download_snapshot(source.hub, source.revision)
        except ModelError as error:
            if package is None:
                raise
            raise ModelError(f"{error} Or install the same LLM: {package.install_command}") from error
    folder = model_dir / str(source.path)
    if not folder.is_dir():
        raise ModelError(
            f"{folder} is missing; config.json in {model_dir} names it. Download the complete model folder again."
        )
    return folder


def download_snapshot(
    repository: str, revision: str | None = None, *, allow_patterns: Sequence[str] | None = None
) -> Path:
    """Return the local copy of a Hub repository, or of its files that match ``allow_patterns``.

    Complete files are not downloaded again, so the next call resumes an interrupted download. Pickles are skipped.

    Raises:
        ModelError: The download failed; the message names the reason (network, disk, access rights, unknown name).
    """
    from huggingface_hub import snapshot_download

    with _translate_hub_errors(repository):
        return Path(
            snapshot_download(
                repository,
                revision=revision,
                allow_patterns=None if allow_patterns is None else list(allow_patterns),
                ignore_patterns=PICKLES,
            )
        )


@contextmanager
def _translate_hub_errors(repository: str) -> Iterator[None]:
    """Raise a one-line :class:`ModelError` with the reason and the fix for each download error."""
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
        raise ModelError(
            f"{repository} requires its licence to be accepted; expected an account that did. Accept it on the Hub, "
            "then run hf auth login."
        ) from error
    except (RepositoryNotFoundError, RevisionNotFoundError, HFValidationError) as error:
        raise ModelError(
            f"{repository} is not on the Hub or not accessible ({type(error).__name__}); expected owner/name of a "
            "repository and one of its revisions. Check both, or run hf auth login."
        ) from error
    except IncompleteSnapshotError as error:
        raise ModelError(
            f"{repository} is only partly downloaded, and the Hub cannot be reached; expected a network. Connect and "
            "run this again: complete files are kept."
        ) from error
    except LocalEntryNotFoundError as error:
        raise ModelError(
            f"{repository} is not on this machine, and the Hub cannot be reached; expected a network. Connect, or "
            "download it beforehand with hf download."
        ) from error
    except (OSError, HTTPError, RuntimeError) as error:  # RuntimeError: the Hub's transfer library
        if getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT):
            raise ModelError(
                f"{repository} does not fit on the disk of {HF_HUB_CACHE}; complete files are kept. Free some space, "
                "or name another disk with HF_HOME, and run this again."
            ) from error
        reason = (str(error).splitlines() or ["no reason given"])[0]
        raise ModelError(
            f"{repository} cannot be downloaded from the Hub ({type(error).__name__}: {reason}); expected a stable "
            "network. Run this again: complete files are kept."
        ) from error
