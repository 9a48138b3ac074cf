"""Hash of a component's files: identifies the component whose outputs a cache or an index holds."""

from __future__ import annotations

from collections.abc import Collection
from hashlib import blake2b
from pathlib import Path

TEXT_DIR = "text"
"""Sub-folder of an encoder that has no text tower; contains an encoder with only a text tower, for the same space.
Features of media do not depend on it."""


def hash_encoder(folder: Path) -> str:
    """Return a hash of all files that the features of media depend on."""
    return hash_folder(folder, exclude=(TEXT_DIR,))


def hash_folder(folder: Path, *, exclude: Collection[str] = ()) -> str:
    """Return a hash of all files in a folder, except those in the subfolders ``exclude``."""
    digest = blake2b(digest_size=16)
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.relative_to(folder).parts[0] not in exclude:
            digest.update(path.relative_to(folder).as_posix().encode())
            with path.open("rb") as file:
                while block := file.read(1 << 24):
                    digest.update(block)
    return digest.hexdigest()
