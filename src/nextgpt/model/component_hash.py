"""Hash of a component's files: identifies the component whose outputs a cache or an index holds."""

from __future__ import annotations

from hashlib import blake2b
from pathlib import Path


def hash_folder(folder: Path) -> str:
    """Return a hash of all files in a folder."""
    digest = blake2b(digest_size=16)
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            digest.update(path.relative_to(folder).as_posix().encode())
            with path.open("rb") as file:
                while block := file.read(1 << 24):
                    digest.update(block)
    return digest.hexdigest()
