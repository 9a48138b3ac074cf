"""Write corpora in this project's own format: JSON lines with paths of media, or tars with the media inside."""

from __future__ import annotations

import io
import json
import os
import tarfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

from nextgpt.atomic_files import flush
from nextgpt.data.corpus_file import UNFINISHED_MARK
from nextgpt.data.formats.messages import format_row
from nextgpt.data.record import CaptionPair, InvalidRecord, MediaFile, Record, media_of
from nextgpt.errors import MediaError
from nextgpt.media.save_media import wrap_write_errors


def write_jsonl(records: Iterable[Record], path: Path) -> int:
    """Write records as JSON lines with relative paths of their media; return the number of records.

    Media in tars are extracted into a folder next to ``path``. The file is written completely or not at all.
    """
    home = path.parent.resolve()
    taken_out = home / f"{path.stem}-media"

    def name(medium: MediaFile) -> str:
        place = medium.path
        if medium.byte_range is not None:
            place = taken_out / medium.path.stem / _relative_path(medium.member)
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(medium.read())
        return Path(os.path.relpath(place.resolve(), home)).as_posix()

    count = 0
    with _atomic_path(path) as unfinished, unfinished.open("w", encoding="utf-8") as file:
        for record in records:
            file.write(json.dumps(format_row(record, name), ensure_ascii=False) + "\n")
            count += 1
    return count


def _relative_path(member: str) -> Path:
    """Return a tar member's name as a path that stays below its folder; different names give different paths."""
    pieces = [quote(piece, safe=" !#$&'()+,;=@[]{}~") for piece in member.split("/") if piece not in ("", ".")]
    return Path(*("%2E%2E" if piece == ".." else piece for piece in pieces))


def write_tar_shards(records: Iterable[Record], folder: Path, *, shard_bytes: int) -> Iterator[Path | InvalidRecord]:
    """Write records as tars of about ``shard_bytes``, each sample its messages and then its media.

    Yields every tar when it is complete, and every record that is left out because its media cannot be read. Until the
    last tar is written the folder holds :data:`UNFINISHED_MARK`, and is refused as a corpus.
    """
    mark = folder / UNFINISHED_MARK
    with wrap_write_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        mark.touch()
    samples = _samples(records)
    sample = next(samples, None)
    for shard in range(1_000_000):
        if sample is None:
            mark.unlink()
            return
        path, size, number = folder / f"{shard:05d}.tar", 0, 0
        with _atomic_path(path) as unfinished, tarfile.open(unfinished, "w") as tar:
            while sample is not None and size < shard_bytes:
                if isinstance(sample, InvalidRecord):
                    yield sample
                else:
                    size += _add(tar, f"{number:06d}", sample)
                    number += 1
                sample = next(samples, None)
        if number:
            yield path
        else:
            path.unlink()


Sample = dict[str, bytes]
"""Contents by member name, without the sample's number."""


def _samples(records: Iterable[Record]) -> Iterator[Sample | InvalidRecord]:
    for record in records:
        try:
            yield _sample(record)
        except MediaError as error:
            yield InvalidRecord(record.key, str(error))


def _sample(record: Record) -> Sample:
    names: dict[int, str] = {}
    contents: Sample = {}
    for position, medium in enumerate(media_of(record)):
        names[id(medium)] = f"{position}{Path(medium.name).suffix.lower()}"
        if isinstance(record, CaptionPair) or medium in record.input_media or not medium.is_missing:
            contents[names[id(medium)]] = medium.read()
    row: dict[str, Any] = format_row(record, lambda medium: names[id(medium)])
    return {"messages.json": json.dumps(row, ensure_ascii=False).encode(), **contents}


def _add(tar: tarfile.TarFile, key: str, sample: Sample) -> int:
    for name, content in sample.items():
        member = tarfile.TarInfo(f"{key}.{name}")
        member.size = len(content)
        tar.addfile(member, io.BytesIO(content))
    return sum(map(len, sample.values()))


@contextmanager
def _atomic_path(path: Path) -> Iterator[Path]:
    """Yield a temporary path that is renamed to ``path`` on success."""
    unfinished = path.with_name(path.name + ".unfinished")
    with wrap_write_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            yield unfinished
        except BaseException:
            unfinished.unlink(missing_ok=True)
            raise
        flush(unfinished)
        unfinished.replace(path)
