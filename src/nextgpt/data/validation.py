"""Whether a corpus can be trained on: every medium is opened, what is broken is counted and listed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from nextgpt.data.corpus import Corpus
from nextgpt.data.record import CaptionPair, InvalidRecord, MediaFile, Record
from nextgpt.errors import MediaError

CHUNK_RECORDS = 256
"""Records whose media are decoded before the next are begun: bounds the memory."""


@dataclass(frozen=True)
class ValidationReport:
    """What was found in a corpus."""

    format: str
    records: int
    """Those that can be trained on."""
    media: dict[str, int]
    """Media that could be opened, by modality."""
    missing: int
    """Media that the assistant makes and that are not there: their captions say what to learn."""
    invalid: tuple[InvalidRecord, ...]


def validate(
    corpus: Corpus, *, workers: int = 4, tell: Callable[[int, int], None] = lambda done, total: None
) -> ValidationReport:
    """Open every medium of a corpus. ``tell`` is called with the number of records done and of all."""
    media: Counter[str] = Counter()
    broken = list(corpus.invalid)
    absent = 0
    with ThreadPoolExecutor(workers) as pool:
        for start in range(0, len(corpus.records), CHUNK_RECORDS):
            records = corpus.records[start : start + CHUNK_RECORDS]
            for record, fault in zip(records, pool.map(find_error, records), strict=True):
                if fault is not None:
                    broken.append(fault)
                    continue
                absent += sum(medium.is_missing for medium in _output_media(record))
                media.update(medium.modality for medium in _required_media(record))
            tell(start + len(records), len(corpus.records))
    sound = len(corpus.records) + len(corpus.invalid) - len(broken)
    return ValidationReport(corpus.format, sound, dict(media), absent, tuple(broken))


def find_error(record: Record) -> InvalidRecord | None:
    """What is wrong with a record, if anything is."""
    for medium in _output_media(record):
        if not medium.caption:
            return InvalidRecord(record.key, f"{medium.name} is made by the assistant and has no caption")
    for medium in _required_media(record):
        try:
            medium.open()
        except MediaError as error:
            return InvalidRecord(record.key, str(error))
    return None


def _required_media(record: Record) -> Iterator[MediaFile]:
    """Media that must open: all that are given, and what is made where it is there."""
    yield from (record.medium,) if isinstance(record, CaptionPair) else record.input_media
    yield from (medium for medium in _output_media(record) if not medium.is_missing)


def _output_media(record: Record) -> tuple[MediaFile, ...]:
    return () if isinstance(record, CaptionPair) else record.output_media
