"""A corpus: its records, and its invalid rows."""

from __future__ import annotations

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
    """Invalid rows."""

    def fingerprint(self) -> str:
        """Return a hash of all text, and of place, size and time of change of all media."""
        digest = blake2b(digest_size=16)
        for record in self.records:
            digest.update(f"{record.key}\0{dialogue_of(record, 'captioning').text}\0".encode())
            for medium in media_of(record):
                digest.update(f"{medium.key}{medium.caption}\0".encode())
        return digest.hexdigest()


def read_corpus(
    path: Path, *, format: str | None = None, media: Path | None = None, limit: int | None = None
) -> Corpus:
    """Read a corpus, or its first ``limit`` records.

    Raises:
        ConfigError: The corpus is missing, of unknown format, or has no valid record.
    """
    document = open_corpus_file(path, media)
    kind = find_format(document, format)
    records: list[Record] = []
    invalid: list[InvalidRecord] = []
    for item in islice(kind.records(document), limit):
        (invalid if isinstance(item, InvalidRecord) else records).append(item)  # type: ignore[arg-type]
    if not records:
        why = f"the first: {invalid[0].key}: {invalid[0].reason}" if invalid else "it is empty"
        raise ConfigError(
            f"{path} has no valid record of the format {kind.name} ({why}); expected {kind.about}. "
            "Check the file, or name another format."
        )
    return Corpus(path.name, kind.name, tuple(records), tuple(invalid))
