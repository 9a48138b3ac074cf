"""A corpus: records that are read once, and what of it is broken."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import blake2b
from itertools import islice
from pathlib import Path

from nextgpt.data.corpus_file import open_corpus_file
from nextgpt.data.formats import find_format
from nextgpt.data.record import InvalidRecord, Record, dialogue_of, media_of
from nextgpt.errors import ConfigError


@dataclass(frozen=True)
class Corpus:
    """All records of one file or folder, in order. Media are not opened yet."""

    name: str
    format: str
    records: tuple[Record, ...]
    invalid: tuple[InvalidRecord, ...]
    """Rows that could not be read."""

    def fingerprint(self) -> str:
        """Changes with every word, medium and size of a file that the corpus has."""
        digest = blake2b(digest_size=16)
        for record in self.records:
            digest.update(f"{record.key}\0{dialogue_of(record, 'captioning').text}\0".encode())
            for medium in media_of(record):
                digest.update(f"{medium.key}{medium.caption}\0".encode())
        return digest.hexdigest()


def read_corpus(
    path: Path, *, format: str | None = None, media: Path | None = None, limit: int | None = None
) -> Corpus:
    """Read a corpus whole, or the first ``limit`` records.

    Raises:
        ConfigError: it is missing, of no known format, or has no record that can be read.
    """
    document = open_corpus_file(path, media)
    kind = find_format(document, format)
    records: list[Record] = []
    broken: list[InvalidRecord] = []
    for item in _limited(kind.records(document), limit):
        (broken if isinstance(item, InvalidRecord) else records).append(item)  # type: ignore[arg-type]
    if not records:
        why = f"the first: {broken[0].key}: {broken[0].reason}" if broken else "it is empty"
        raise ConfigError(
            f"{path} has no record that can be read as {kind.name} ({why}); expected {kind.about}. "
            "Check the file, or name another format."
        )
    return Corpus(path.name, kind.name, tuple(records), tuple(broken))


def _limited(items: Iterator[Record | InvalidRecord], limit: int | None) -> Iterator[Record | InvalidRecord]:
    return items if limit is None else islice(items, limit)
