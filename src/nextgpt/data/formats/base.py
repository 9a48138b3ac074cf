"""What a format is: how to tell it, and how its rows become records."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from nextgpt.data.corpus_file import CorpusFile, Row
from nextgpt.data.record import InvalidRecord, Record

Rows = Callable[[CorpusFile], Iterable[Row | InvalidRecord]]
Read = Callable[[Row, CorpusFile], Iterable[Record]]


@dataclass(frozen=True)
class Format:
    """One row of the table of formats."""

    name: str
    about: str
    """For people: what has this form."""
    containers: tuple[str, ...]
    keys: frozenset[str]
    """Keys that the first row has, all of them."""
    read: Read
    """A row as records. Raises ``KeyError``, ``TypeError`` or ``ValueError`` for a row that is not of this form."""
    rows: Rows = CorpusFile.rows
    any_of: frozenset[str] = frozenset()
    """Keys of which the first row has at least one, where there are any."""

    def fits(self, document: CorpusFile) -> bool:
        """Whether the document looks like one of this format."""
        found = document.first_row.keys()
        has_any = not self.any_of or bool(self.any_of & found)
        return document.container in self.containers and self.keys <= found and has_any

    def records(self, document: CorpusFile) -> Iterator[Record | InvalidRecord]:
        """All records; a row that is not of this form is told as broken."""
        for index, row in enumerate(self.rows(document)):
            if isinstance(row, InvalidRecord):
                yield row
                continue
            try:
                records = list(self.read(row, document))
            except (KeyError, TypeError, ValueError, AttributeError) as error:
                yield InvalidRecord(row_key(row, str(index)), f"{type(error).__name__}: {error}")
                continue
            yield from records


def row_key(row: Row, default: str) -> str:
    """What a row calls itself."""
    found = (row.get(name) for name in ("__key__", "id", "audiocap_id", "videoid", "image_id", "video_id"))
    return str(next((name for name in found if name not in (None, "")), default))
