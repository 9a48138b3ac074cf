"""Files are complete or absent under their name."""

from __future__ import annotations

from pathlib import Path

import pytest

from nextgpt.atomic_files import write_atomically


@pytest.mark.parametrize("sync", [False, True])
def test_the_new_content_replaces_the_old_one(tmp_path: Path, sync: bool):
    path = tmp_path / "file.json"
    path.write_text("old")
    write_atomically(path, lambda file: file.write_text("new"), sync=sync)
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


def test_an_interrupted_write_keeps_the_old_content(tmp_path: Path):
    path = tmp_path / "file.json"
    path.write_text("old")

    def write_half(file: Path) -> None:
        file.write_text("ne")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_atomically(path, write_half)
    assert path.read_text() == "old"
