"""Text files that people bring: UTF-8, or whatever their byte order mark states."""

from __future__ import annotations

import codecs
from pathlib import Path
from typing import TextIO

_ENCODINGS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),  # before UTF-16, whose mark begins with the same bytes
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
"""Encodings by byte order mark, which spreadsheets, PowerShell and Windows editors write."""


def encoding_of(content: bytes) -> str:
    """Return the encoding of a file that begins with ``content``; its decoder skips the mark."""
    return next((encoding for mark, encoding in _ENCODINGS if content.startswith(mark)), "utf-8")


def open_text(path: Path, *, errors: str = "strict", newline: str | None = None) -> TextIO:
    """Open a text file for reading. Raises ``OSError``."""
    with path.open("rb") as file:
        encoding = encoding_of(file.read(4))
    return path.open(encoding=encoding, errors=errors, newline=newline)


def read_text(path: Path) -> str:
    """Read a text file. Raises ``OSError`` or ``UnicodeDecodeError``."""
    with open_text(path) as file:
        return file.read()
