"""The type of a corpus format: its detection, and the parsing of its rows."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from nextgpt.data.corpus_file import CorpusFile, Row
from nextgpt.data.record import InvalidRecord, Record

Rows = Callable[[CorpusFile], Iterable[Row | InvalidRecord]]
Read = Callable[[Row, CorpusFile], Iterable[Record]]


@dataclass(frozen=True)
class Format:
    """A row of the table of formats."""

    name: str
    about: str
    """Description for users."""
    containers: tuple[str, ...]
    keys: frozenset[str]
    """Keys that the first row must have."""
    read: Read
    """Parse a row. Raises ``KeyError``, ``TypeError`` or ``ValueError`` for an invalid row."""
    rows: Rows = CorpusFile.rows
    any_of: frozenset[str] = frozenset()
    """Keys of which the first row must have at least one, unless empty."""

    def fits(self, document: CorpusFile) -> bool:
        """Return whether a file matches this format."""
        keys = document.first_row.keys()
        has_any = not self.any_of or bool(self.any_of & keys)
        return document.container in self.containers and self.keys <= keys and has_any

    def records(self, document: CorpusFile) -> Iterator[Record | InvalidRecord]:
        """Yield all records; invalid rows become :class:`InvalidRecord`."""
        for index, row in enumerate(self.rows(document)):
            if isinstance(row, InvalidRecord):
                yield row
                continue
            try:
                records = list(self.read(row, document))
            except KeyError as error:
                yield InvalidRecord(row_key(row, str(index)), f"has no {error}")
                continue
            except (TypeError, ValueError, AttributeError) as error:
                yield InvalidRecord(row_key(row, str(index)), f"{type(error).__name__}: {error}")
                continue
            yield from records


def row_key(row: Row, default: str) -> str:
    """Return the identifier of a row."""
    values = (row.get(name) for name in ("__key__", "id", "audiocap_id", "videoid", "image_id", "video_id"))
    return str(next((name for name in values if name not in (None, "")), default))
