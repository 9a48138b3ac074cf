"""Whether a corpus can be trained on: every medium is opened, what is broken is counted and listed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from nextgpt.data.corpus import Corpus, is_absent
from nextgpt.data.record import Broken, MediaFile, Pair, Record
from nextgpt.errors import MediaError

AT_ONCE = 256
"""Records whose media are decoded before the next are begun: bounds the memory."""


@dataclass(frozen=True)
class Verdict:
    """What was found in a corpus."""

    format: str
    records: int
    """Those that can be trained on."""
    media: dict[str, int]
    """Media that could be opened, by modality."""
    absent: int
    """Media that the assistant makes and that are not there: their captions say what to learn."""
    broken: tuple[Broken, ...]


def validate(
    corpus: Corpus, *, workers: int = 4, tell: Callable[[int, int], None] = lambda done, total: None
) -> Verdict:
    """Open every medium of a corpus. ``tell`` is called with the number of records done and of all."""
    media: Counter[str] = Counter()
    broken = list(corpus.broken)
    absent = 0
    with ThreadPoolExecutor(workers) as pool:
        for start in range(0, len(corpus.records), AT_ONCE):
            records = corpus.records[start : start + AT_ONCE]
            for record, fault in zip(records, pool.map(fault_of, records), strict=True):
                if fault is not None:
                    broken.append(fault)
                    continue
                absent += sum(map(is_absent, _made(record)))
                media.update(medium.modality for medium in _needed(record))
            tell(start + len(records), len(corpus.records))
    sound = len(corpus.records) + len(corpus.broken) - len(broken)
    return Verdict(corpus.format, sound, dict(media), absent, tuple(broken))


def fault_of(record: Record) -> Broken | None:
    """What is wrong with a record, if anything is."""
    for medium in _made(record):
        if not medium.caption:
            return Broken(record.key, f"{medium.name} is made by the assistant and has no caption")
    for medium in _needed(record):
        try:
            medium.open()
        except MediaError as error:
            return Broken(record.key, str(error))
    return None


def _needed(record: Record) -> Iterator[MediaFile]:
    """Media that must open: all that are given, and what is made where it is there."""
    yield from (record.medium,) if isinstance(record, Pair) else record.given
    yield from (medium for medium in _made(record) if not is_absent(medium))


def _made(record: Record) -> tuple[MediaFile, ...]:
    return () if isinstance(record, Pair) else record.made
