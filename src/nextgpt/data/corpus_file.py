"""Corpus files as rows of plain values: JSON, JSON lines, CSV or tar.

Handles containers only; :mod:`nextgpt.data.formats` interprets the keys of a row.
"""

from __future__ import annotations

import csv
import json
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from nextgpt.data.record import InvalidRecord, MediaFile
from nextgpt.errors import ConfigError
from nextgpt.media.file_types import FILE_TYPE_BY_SUFFIX, suffixes_of
from nextgpt.text_files import encoding_of, open_text, read_text

Row = dict[str, Any]
INVALID_BYTES = "surrogateescape"
"""Python's handler of decoding errors, after which :func:`has_invalid_bytes` finds them."""
NOT_UTF8 = "is not UTF-8; save the file as UTF-8, or with a byte order mark"
MAX_CSV_FIELD_CHARS = 2**24
"""The csv module's own limit of 131,072 is less than some corpora hold in one field."""
COMPRESSED = (b"\x1f\x8b", b"BZh", b"\xfd7zXZ", b"\x28\xb5\x2f\xfd")
"""First bytes of gzip, bzip2, xz and Zstandard files."""
UNFINISHED_MARK = ".unfinished"
"""File in a folder of tars that is still being written."""
MAX_LINE_CHARS = 2**20
"""Characters at the beginning of a JSON file that are read to distinguish JSON from JSON lines."""
MEDIA_FOLDERS = ("", "images", "videos", "audios", "image", "video", "audio")
"""Sub-folders of the media folder, tried in order."""


@dataclass(frozen=True)
class CorpusFile:
    """A corpus file or a folder of tars, and the folder of its media."""

    path: Path
    media: Path

    @cached_property
    def container(self) -> str:
        """``json``, ``jsonl``, ``csv`` or ``tar``; the content decides between JSON and JSON lines."""
        if self.path.is_dir():
            return "tar"
        suffix = self.path.suffix.lower().removeprefix(".")
        return _json_container(self.path, suffix) if suffix in ("json", "jsonl") else suffix

    @cached_property
    def content(self) -> Any:
        """The content of a JSON file; the first row of other containers."""
        return _READ_HEAD[self.container](self.path)

    @property
    def first_row(self) -> Row:
        """The first row, or the mapping in a JSON file; it identifies the format."""
        content = self.content
        first = content[0] if isinstance(content, list) and content else content
        return first if isinstance(first, dict) else {}

    def rows(self) -> Iterator[Row | InvalidRecord]:
        """Yield all rows, or the samples of a tar."""
        return _READ_ROWS[self.container](self)

    def find_media(self, modality: str, *names: str) -> Path:
        """Return the first existing file; names without suffix are tried with all suffixes of the modality."""
        tried = [
            self.media / folder / full
            for name in names
            for full in _with_suffixes(name, modality)
            for folder in MEDIA_FOLDERS
        ]
        return next((path for path in tried if path.is_file()), tried[0])


def open_corpus_file(path: Path, media: Path | None = None) -> CorpusFile:
    """Open a corpus. Raises :class:`ConfigError` if it is missing or of an unknown container."""
    if not path.exists():
        raise ConfigError(f"{path} is missing; expected a corpus (JSON, JSONL, CSV, tar, or a folder of tars).")
    if (path / UNFINISHED_MARK).is_file():
        raise ConfigError(
            f"{path} is unfinished; expected all of its tars. Run the command that writes it again, or "
            f"delete {UNFINISHED_MARK} in it to use what is there."
        )
    document = CorpusFile(path, media or (path if path.is_dir() else path.parent))
    if document.container not in _READ_HEAD:
        raise ConfigError(
            f"{path} ends with {path.suffix or 'no suffix'}; expected one of {', '.join(_READ_HEAD)}, or a folder of "
            "tars. Rename or convert it."
        )
    return document


def has_invalid_bytes(text: str) -> bool:
    """Return whether bytes of a text that was read with :data:`INVALID_BYTES` could not be decoded."""
    return any("\udc80" <= character <= "\udcff" for character in text) if not text.isascii() else False


def _with_suffixes(name: str, modality: str) -> list[str]:
    if Path(name).suffix.lower() in FILE_TYPE_BY_SUFFIX:
        return [name]
    return [f"{name}{suffix}" for suffix in suffixes_of(modality)]


def _json_container(path: Path, suffix: str) -> str:
    """Return ``json`` for one list or mapping, ``jsonl`` for a mapping per line; ``suffix`` if neither is clear."""
    with open_text(path, errors="replace") as file:
        head = file.read(MAX_LINE_CHARS).lstrip()
    if head.startswith("["):
        return "json"
    first, line_break, rest = head.partition("\n")
    try:
        is_row = isinstance(json.loads(first), dict)
    except json.JSONDecodeError:
        return suffix if first.startswith("{") and not line_break else "json" if suffix == "json" else "jsonl"
    return "jsonl" if is_row and (rest.strip() or suffix == "jsonl") else suffix


def _json(path: Path) -> Any:
    try:
        return json.loads(read_text(path))
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise ConfigError(f"{path} is no JSON ({error}); expected a corpus. Fetch or correct the file.") from None


def _json_rows(document: CorpusFile) -> Iterator[Row | InvalidRecord]:
    content = document.content if isinstance(document.content, list) else [document.content]
    for index, row in enumerate(content):
        yield (
            row
            if isinstance(row, dict)
            else InvalidRecord(str(index), f"is a {type(row).__name__}; expected a mapping")
        )


def _line_rows(document: CorpusFile) -> Iterator[Row | InvalidRecord]:
    with open_text(document.path, errors=INVALID_BYTES) as lines:
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            if has_invalid_bytes(line):
                yield InvalidRecord(f"line {number}", NOT_UTF8)
                continue
            try:
                row = json.loads(line)
            except json.JSONDecodeError as error:
                yield InvalidRecord(f"line {number}", f"is no JSON ({error})")
                continue
            yield row if isinstance(row, dict) else InvalidRecord(f"line {number}", "is no JSON object")


def _csv_rows(document: CorpusFile) -> Iterator[Row | InvalidRecord]:
    csv.field_size_limit(MAX_CSV_FIELD_CHARS)
    with open_text(document.path, errors=INVALID_BYTES, newline="") as lines:
        reader = csv.DictReader(lines)
        try:
            for row in reader:
                is_complete = None not in row and None not in row.values()
                line = f"line {reader.line_num}"
                if not is_complete:
                    yield InvalidRecord(line, "has other columns than the first line")
                elif has_invalid_bytes("".join(row.values())):
                    yield InvalidRecord(line, NOT_UTF8)
                else:
                    yield dict(row)
        except csv.Error as error:
            yield InvalidRecord(f"line {reader.line_num}", f"cannot be read ({error}); later rows are skipped")


def _tar_rows(document: CorpusFile) -> Iterator[Row | InvalidRecord]:
    paths = sorted(document.path.glob("*.tar")) if document.path.is_dir() else [document.path]
    for path in paths:
        yield from _samples(path)


def _samples(path: Path) -> Iterator[Row | InvalidRecord]:
    """Group consecutive members of one name by suffix: media as byte ranges, other members as text.

    ``000.jpg 000.txt 000.json 001.jpg ...`` becomes ``{"__key__": "000", "jpg": MediaFile, "txt": str, "json": str}``.
    A key that comes again later, or a second member of one name, is an invalid record.
    """
    sample: Row = {}
    keys: set[str] = set()
    try:
        with tarfile.open(path, "r:") as tar:
            for member in tar:
                if not member.isfile():
                    continue
                folder, _, base = member.name.rpartition("/")
                stem, _, suffix = base.partition(".")
                key = f"{folder}/{stem}" if folder else stem
                if sample and sample["__key__"] != key:
                    yield sample
                    sample = {}
                if not sample and key in keys:
                    yield InvalidRecord(key, f"{member.name} comes again in {path.name}; the first {key} is kept")
                    continue
                if suffix.lower() in sample:
                    yield InvalidRecord(key, f"{member.name} is in {path.name} twice; the first is kept")
                    continue
                keys.add(key)
                sample["__key__"] = key
                sample[suffix.lower()] = _member(path, tar, member)
    except (tarfile.TarError, EOFError, OSError) as error:
        if sample:
            yield sample
        yield InvalidRecord(path.name, _tar_problem(path, error))
        return
    if sample:
        yield sample


def _tar_problem(path: Path, error: Exception) -> str:
    with path.open("rb") as file:
        is_compressed = file.read(6).startswith(COMPRESSED)
    if is_compressed:
        return "is compressed; expected a plain tar, whose media are read where they stand. Unpack it with gunzip"
    return f"is a damaged tar ({error}); samples before the damage were read"


def _member(path: Path, tar: tarfile.TarFile, member: tarfile.TarInfo) -> MediaFile | str:
    file_type = FILE_TYPE_BY_SUFFIX.get(Path(member.name).suffix.lower())
    if file_type:
        return MediaFile(file_type.modalities[0], path, member.name, (member.offset_data, member.size))
    file = tar.extractfile(member)
    content = file.read() if file else b""
    return content.decode(encoding_of(content), errors=INVALID_BYTES)


def _first(rows: Callable[[CorpusFile], Iterator[Row | InvalidRecord]]) -> Callable[[Path], Row]:
    def first(path: Path) -> Row:
        problem = None
        for row in rows(CorpusFile(path, path)):
            if isinstance(row, dict):
                return row
            problem = problem or row
        if problem is not None:
            raise ConfigError(
                f"{path} has no readable row ({problem.key} {problem.reason}); expected a corpus. Fetch or correct the "
                "file."
            )
        return {}

    return first


_READ_ROWS: dict[str, Callable[[CorpusFile], Iterator[Row | InvalidRecord]]] = {
    "json": _json_rows,
    "jsonl": _line_rows,
    "csv": _csv_rows,
    "tar": _tar_rows,
}
_READ_HEAD: dict[str, Callable[[Path], Any]] = {
    "json": _json,
    "jsonl": _first(_line_rows),
    "csv": _first(_csv_rows),
    "tar": _first(_tar_rows),
}
