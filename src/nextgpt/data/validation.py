"""Validate a corpus: open every medium, count and list invalid records."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from nextgpt.data.corpus import Corpus
from nextgpt.data.record import CaptionPair, InvalidRecord, MediaFile, Record
from nextgpt.errors import MediaError

CHUNK_RECORDS = 256
"""Records whose media are decoded at a time; bounds the memory."""


@dataclass(frozen=True)
class ValidationReport:
    """Result of validating a corpus."""

    format: str
    records: int
    """Valid records."""
    media: dict[str, int]
    """Opened media, by modality."""
    missing: int
    """Output media without a file; their captions suffice for training."""
    invalid: tuple[InvalidRecord, ...]
    damaged: tuple[InvalidRecord, ...] = ()
    """Records with a medium that is used, though a part of it could not be read."""


def validate(
    corpus: Corpus, *, workers: int = 4, on_progress: Callable[[int, int], None] = lambda done, total: None
) -> ValidationReport:
    """Open every medium of a corpus. ``on_progress`` gets the number of records done and the total."""
    media: Counter[str] = Counter()
    invalid = list(corpus.invalid)
    damaged: list[InvalidRecord] = []
    missing = 0
    with ThreadPoolExecutor(workers) as pool:
        for start in range(0, len(corpus.records), CHUNK_RECORDS):
            records = corpus.records[start : start + CHUNK_RECORDS]
            for record, (error, damage) in zip(records, pool.map(check_record, records), strict=True):
                if error is not None:
                    invalid.append(error)
                    continue
                damaged += [InvalidRecord(record.key, damage)] if damage else []
                missing += sum(medium.is_missing for medium in _output_media(record))
                media.update(medium.modality for medium in _required_media(record))
            on_progress(start + len(records), len(corpus.records))
    valid = len(corpus.records) + len(corpus.invalid) - len(invalid)
    return ValidationReport(corpus.format, valid, dict(media), missing, tuple(invalid), tuple(damaged))


def check_record(record: Record) -> tuple[InvalidRecord | None, str]:
    """Return the first error of a record or ``None``, and what was lost of its media."""
    for medium in _output_media(record):
        if not medium.caption:
            return InvalidRecord(record.key, f"{medium.name} is an output without a caption"), ""
    damage: list[str] = []
    for medium in _required_media(record):
        try:
            opened = medium.open()
        except MediaError as error:
            return InvalidRecord(record.key, str(error)), ""
        damage += [f"{medium.name}: {opened.damage}"] if opened.damage else []
    return None, "; ".join(damage)


def _required_media(record: Record) -> Iterator[MediaFile]:
    """Yield the media that must open: all inputs, and outputs that have a file."""
    yield from (record.medium,) if isinstance(record, CaptionPair) else record.input_media
    yield from (medium for medium in _output_media(record) if not medium.is_missing)


def _output_media(record: Record) -> tuple[MediaFile, ...]:
    return () if isinstance(record, CaptionPair) else record.output_media
