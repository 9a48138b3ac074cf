"""Run folder: the items, answers, features and scores of one evaluation, written so that a killed run can continue.

::

    RUN/run.json                    RunManifest: what was evaluated, how, on which data
    RUN/items.jsonl                 EvalItem per line
    RUN/SYSTEM/records.jsonl        ItemRecord per line, in the order of the items, appended after each batch
    RUN/SYSTEM/media/00007/01-image.png  media of the answer to item 7
    RUN/features/EXTRACTOR/*.npz    features by content, computed once
    RUN/results/*.json              values per metric and system, for the next scoring
    RUN/item_scores.json            values per system, metric and item, for metrics that have them
    RUN/scores.json, RUN/report.md  written last

Files that are not appended to are written under another name and renamed. Only complete batches of records count: the
rest of a batch that was interrupted is dropped, so that a resumed run has the same batches, and the same answers, as an
uninterrupted one.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from hashlib import blake2b, file_digest
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError

from nextgpt.atomic_files import write_atomically
from nextgpt.config import CONFIG_FILE, read_config
from nextgpt.errors import ConfigError
from nextgpt.evaluate.standard.items import EvalItem, Frozen
from nextgpt.evaluate.standard.records import ItemRecord
from nextgpt.media.save_media import wrap_write_errors
from nextgpt.model.component_hash import hash_folder
from nextgpt.model.hub import resolve_component_dir
from nextgpt.model.model_dir import WEIGHTS_FILE, resolve_model_dir

MANIFEST_FILE, ITEMS_FILE, RECORDS_FILE = "run.json", "items.jsonl", "records.jsonl"
ITEM_SCORES_FILE, LOCK_FILE = "item_scores.json", ".lock"
SCORES_FILE, REPORT_FILE = "scores.json", "report.md"
FEATURES_DIR, RESULTS_DIR, MEDIA_DIR = "features", "results", "media"


ItemScores = dict[str, dict[str, dict[str, float]]]
"""Value by system, metric and id of the item."""


class RunManifest(Frozen):
    """Facts that identify a run; a folder is continued only by a run with the same facts."""

    suite: str
    protocol: str
    """The suite's protocol in one sentence."""
    model: str
    seed: int
    limit: int
    batch_size: int
    """Items per batch; batches are fixed by the order of the items."""
    data: str
    """Data folder that media paths of the items are relative to."""
    data_fingerprint: str
    """Hash of the items and of the contents of their files."""
    model_fingerprint: str = ""
    """Hash of the model's configuration, trained weights and components."""
    num_inference_steps: int | None = None
    """Denoising steps; ``None`` means the model's default."""
    left_out: dict[str, int] = Field(default_factory=dict)
    """Number of annotated items that were not sampled from, by reason."""


class RunFolder:
    """Reads and writes the folder of one run.

    Args:
        path: Folder with a ``run.json``; see :func:`open_run` and :func:`create_run`.
    """

    def __init__(self, path: Path, manifest: RunManifest) -> None:
        self.path = path
        self.manifest = manifest

    @cached_property
    def items(self) -> tuple[EvalItem, ...]:
        """Items in order."""
        return tuple(EvalItem.model_validate_json(line) for line in _lines(self.path / ITEMS_FILE))

    @property
    def data(self) -> Path:
        """Folder that the media paths of the items are relative to."""
        return Path(self.manifest.data)

    @property
    def systems(self) -> tuple[str, ...]:
        """Folder names of the systems with records, in alphabetical order."""
        return tuple(sorted(path.parent.name for path in self.path.glob(f"*/{RECORDS_FILE}")))

    def system_dir(self, system: str) -> Path:
        """Folder of a system's records and media."""
        return self.path / system_slug(system)

    def records(self, system: str) -> tuple[ItemRecord, ...]:
        """Return the records of all complete batches, in the order of the items."""
        return self._read_records(system)[0]

    def facts(self, system: str) -> tuple[bytes, bytes]:
        """Return the content of what a system's scores depend on: the items, and its records."""
        path = self.system_dir(system) / RECORDS_FILE
        return (self.path / ITEMS_FILE).read_bytes(), path.read_bytes() if path.is_file() else b""

    def is_complete(self, system: str) -> bool:
        """Return whether there is a record for each item."""
        return len(self.records(system)) == len(self.items)

    def drop_incomplete_batch(self, system: str) -> tuple[ItemRecord, ...]:
        """Cut the file of records after its last complete batch; return the remaining records."""
        records, size_bytes = self._read_records(system)
        path = self.system_dir(system) / RECORDS_FILE
        if path.is_file() and path.stat().st_size > size_bytes:
            os.truncate(path, size_bytes)
        return records

    def append(self, system: str, records: Sequence[ItemRecord]) -> None:
        """Append the records of one batch and flush them to disk; their media are written before."""
        path = self.system_dir(system) / RECORDS_FILE
        with wrap_write_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("a", encoding="utf-8") as file:
                file.write("".join(record.model_dump_json() + "\n" for record in records))
                file.flush()
                os.fsync(file.fileno())

    def write_scores(self, scores: dict[str, Any], report: str) -> None:
        """Write ``scores.json`` and ``report.md``."""
        write_file(self.path / SCORES_FILE, json.dumps(scores, indent=1, ensure_ascii=False) + "\n")
        write_file(self.path / REPORT_FILE, report)

    def write_item_scores(self, values: ItemScores) -> None:
        """Write ``item_scores.json``."""
        write_file(self.path / ITEM_SCORES_FILE, json.dumps(values, ensure_ascii=False) + "\n")

    def _read_records(self, system: str) -> tuple[tuple[ItemRecord, ...], int]:
        """Return the records of complete batches and the size in bytes of their lines."""
        path = self.system_dir(system) / RECORDS_FILE
        if not path.is_file():
            return (), 0
        lines = path.read_bytes().splitlines(keepends=True)
        records: list[ItemRecord] = []
        for line, item in zip(lines, self.items, strict=False):
            try:
                record = ItemRecord.model_validate_json(line) if line.endswith(b"\n") else None
            except ValidationError:
                record = None
            if record is None or record.id != item.id:
                break
            records.append(record)
        if len(records) < len(self.items):
            records = records[: len(records) // self.manifest.batch_size * self.manifest.batch_size]
        return tuple(records), sum(map(len, lines[: len(records)]))


def create_run(path: Path, manifest: RunManifest, items: Sequence[EvalItem]) -> RunFolder:
    """Create a run, or continue the run in ``path``. Raises :class:`ConfigError` if that is another run."""
    if (path / MANIFEST_FILE).is_file():
        run = open_run(path)
        _check_same_run(path, run.manifest, manifest)
        if run.manifest.data != manifest.data:  # the same files at another place
            run.manifest = run.manifest.model_copy(update={"data": manifest.data})
            write_file(path / MANIFEST_FILE, run.manifest.model_dump_json(indent=1) + "\n")
        return run
    with wrap_write_errors(path):
        path.mkdir(parents=True, exist_ok=True)
        if any(path.glob(f"*/{RECORDS_FILE}")):
            raise ConfigError(f"{path} has records but no {MANIFEST_FILE}; expected a run. Choose another folder.")
        write_file(path / ITEMS_FILE, "".join(item.model_dump_json() + "\n" for item in items))
        write_file(path / MANIFEST_FILE, manifest.model_dump_json(indent=1) + "\n")  # last: it makes the folder a run
    return RunFolder(path, manifest)


def open_run(path: Path) -> RunFolder:
    """Open an existing run. Raises :class:`ConfigError`."""
    file = path / MANIFEST_FILE
    try:
        return RunFolder(path, RunManifest.model_validate_json(file.read_bytes()))
    except OSError:
        raise ConfigError(f"{path} has no {MANIFEST_FILE}; expected a run of nextgpt eval --out DIR.") from None
    except ValidationError as error:
        first = error.errors()[0]
        raise ConfigError(
            f"{file} at {'.'.join(map(str, first['loc']))}: {first['msg']}; expected a run of this version. "
            "Choose another folder."
        ) from None


def read_item_scores(path: Path) -> ItemScores:
    """Return the values per item of the run in ``path``; empty if it has none."""
    file = path / ITEM_SCORES_FILE
    return json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}


@contextmanager
def lock_run(path: Path) -> Iterator[None]:
    """Keep other processes from writing the same run; the lock ends with the process.

    Raises:
        ConfigError: Another process writes it.
    """
    with wrap_write_errors(path):
        path.mkdir(parents=True, exist_ok=True)
        file = (path / LOCK_FILE).open("w")
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise ConfigError(f"{path} is written by another process. Wait for it, or choose another --out.") from None
        yield


def is_run(path: Path) -> bool:
    """Return whether ``path`` is the folder of a run."""
    return (path / MANIFEST_FILE).is_file()


def data_fingerprint(items: Sequence[EvalItem], data: Path) -> str:
    """Return a hash of the items and of the contents of their files."""
    content = blake2b(digest_size=16)
    for item in items:
        content.update(item.model_dump_json().encode())
        for name in item.paths:
            content.update(_file_digest(data / name))
    return content.hexdigest()


def _file_digest(path: Path) -> bytes:
    if not path.is_file():
        return b"missing"
    with path.open("rb") as file:
        return file_digest(file, lambda: blake2b(digest_size=16)).digest()


def model_fingerprint(model: str) -> str:
    """Return a hash of a model's configuration, trained weights and components.

    Components from the Hub are identified by the revision in the configuration.

    Raises:
        ModelError: There is no such model.
    """
    folder, content = resolve_model_dir(model), blake2b(digest_size=16)
    for name in (CONFIG_FILE, WEIGHTS_FILE):
        path = folder / name
        content.update(path.read_bytes() if path.is_file() else b"-")
    config = read_config(folder)
    for name in config.bundled_components:
        content.update(hash_folder(resolve_component_dir(config.component_sources[name], folder)).encode())
    return content.hexdigest()


def system_slug(system: str) -> str:
    """Return the folder name of a system: ``openai:http://host:8000/v1`` becomes ``openai-host-8000-v1``."""
    return re.sub(r"[^A-Za-z0-9.]+", "-", re.sub(r"https?://", "", system)).strip("-.") or "system"


def write_file(path: Path, content: str | bytes) -> None:
    """Write a file that is complete or absent, also after a power failure."""
    data = content.encode() if isinstance(content, str) else content
    with wrap_write_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, lambda unfinished: unfinished.write_bytes(data), sync=True)


def _check_same_run(path: Path, stored: RunManifest, current: RunManifest) -> None:
    names = ("suite", "model", "model_fingerprint", "seed", "limit", "num_inference_steps", "data_fingerprint")
    for name in (*names, "batch_size"):
        if (old := getattr(stored, name)) != (new := getattr(current, name)):
            raise ConfigError(
                f"{path} is a run with {name} {old}; got {new}. Choose another --out, or repeat the same settings."
            )


def _lines(path: Path) -> list[str]:
    return [line for line in path.read_text(encoding="utf-8").split("\n") if line]  # splitlines() splits at U+2028
