"""Text files of any encoding that their byte order mark states."""

from __future__ import annotations

from pathlib import Path

import pytest

from nextgpt.text_files import open_text, read_text
from nextgpt.yaml_settings import read_settings

ENCODINGS = ("utf-8", "utf-8-sig", "utf-16", "utf-32")


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("text", ["", "a", "größe: 1\n", "名前: 2\nb: 3\n"])
def test_text_is_read_without_its_mark(encoding: str, text: str, tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(text.encode(encoding))
    assert read_text(path) == text
    with open_text(path) as lines:
        assert "".join(lines) == text


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_a_recipe_may_have_a_mark(encoding: str, tmp_path: Path) -> None:
    (tmp_path / "recipe.yaml").write_bytes("kind: größe\n".encode(encoding))
    assert read_settings(tmp_path / "recipe.yaml", examples="recipes") == {"kind": "größe"}


def test_other_encodings_are_no_text(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes("größe".encode("latin-1"))
    with pytest.raises(UnicodeDecodeError):
        read_text(tmp_path / "a.txt")
