"""Export: the kept dialogues as corpora of several formats, each folder complete in itself.

::

    export/messages/   data.jsonl and media: this project's own form, for nextgpt data and nextgpt train
    export/tars/       the same as tars, which webdataset reads
    export/sharegpt/   train.json, dataset_info.json and media, for LLaMA-Factory and ms-swift
    export/parquet/    train.parquet with the media inside, for Hugging Face datasets
    export/README.md   dataset card;  export/sources.jsonl  source and licence of every medium
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

from nextgpt.data.build.card import write_card
from nextgpt.data.build.files import save_atomically, write_atomically
from nextgpt.data.build.parquet import write_parquet
from nextgpt.data.build.recipe import BuildRecipe, ExportFormat
from nextgpt.data.build.row import BuildRow, Part
from nextgpt.data.record import Dialogue, InvalidRecord, MediaFile, Turn
from nextgpt.data.writers import write_jsonl, write_tar_shards
from nextgpt.errors import ConfigError

EXPORT_DIR = "export"
SHARD_BYTES = 512 * 2**20
FOLDERS = {"image": "images", "audio": "audios", "video": "videos"}
"""Folders of exported media; also the columns of the sharegpt form."""


def export_dialogues(rows: Sequence[BuildRow], recipe: BuildRecipe) -> list[Path]:
    """Write all formats of the recipe; return their folders. Folders of formats that it lacks are removed.

    Without media (``media.mode: none``) only the project's own form is written, as the others need files.

    Raises:
        ConfigError: No dialogue is left, or an optional package is missing.
    """
    kept = [row for row in rows if row.is_kept]
    if not kept:
        raise ConfigError(
            f"No dialogue of {len(rows)} is left to export; expected at least one. The reasons are in "
            f"{recipe.work / 'review.jsonl'} and on the report page."
        )
    export = recipe.work / EXPORT_DIR
    written: list[Path] = []
    formats = recipe.export if recipe.media.mode != "none" else ("messages",)
    for name, write in WRITERS.items():
        folder = export / name
        if folder.exists():
            shutil.rmtree(folder)
        if name in formats:
            folder.mkdir(parents=True)
            write(kept, recipe, folder)
            written.append(folder)
    write_atomically(export / "sources.jsonl", "".join(f"{line}\n" for line in _source_lines(kept)))
    write_card(rows, recipe, export / "README.md")
    return [*written, export / "README.md"]


def to_record(row: BuildRow, path_of: Callable[[Part], Path]) -> Dialogue:
    """Convert a row to a record of :mod:`nextgpt.data`."""

    def convert(part: Part) -> str | MediaFile:
        if part.type == "text":
            return part.text or ""
        return MediaFile(
            part.type,
            path_of(part),
            caption=part.caption or "",
            is_edit=part.is_edit,
            source=part.source,
            licence=part.licence,
        )

    return Dialogue(row.id, tuple(Turn(m.role, tuple(map(convert, m.content))) for m in row.messages))


def _write_messages(rows: Sequence[BuildRow], recipe: BuildRecipe, folder: Path) -> None:
    place = _placer(recipe.work, folder)
    write_jsonl([to_record(row, place) for row in rows], folder / "data.jsonl")


def _write_tars(rows: Sequence[BuildRow], recipe: BuildRecipe, folder: Path) -> None:
    records = [to_record(row, lambda part: recipe.work / (part.path or "none")) for row in rows]
    for written in write_tar_shards(records, folder, shard_bytes=SHARD_BYTES):
        if isinstance(written, InvalidRecord):
            raise ConfigError(f"{written.key} cannot be packed: {written.reason} Build again.")


def _write_sharegpt(rows: Sequence[BuildRow], recipe: BuildRecipe, folder: Path) -> None:
    """Write one tag per medium, in the order of the files of its column."""
    place = _placer(recipe.work, folder)
    entries = []
    for row in rows:
        entry: dict[str, list] = {"messages": [], **{column: [] for column in FOLDERS.values()}}
        for message in row.messages:
            pieces = []
            for part in message.content:
                if part.type == "text":
                    pieces.append(part.text or "")
                elif part.path:
                    pieces.append(f"<{part.type}>")
                    entry[FOLDERS[part.type]].append(place(part).relative_to(folder).as_posix())
            entry["messages"].append({"role": message.role, "content": "\n".join(pieces)})
        entries.append(entry)
    columns = {"messages": "messages", **{column: column for column in FOLDERS.values()}}
    tags = {"role_tag": "role", "content_tag": "content", "user_tag": "user", "assistant_tag": "assistant"}
    info = {recipe.name: {"file_name": "train.json", "formatting": "sharegpt", "columns": columns, "tags": tags}}
    write_atomically(folder / "train.json", json.dumps(entries, ensure_ascii=False, indent=1))
    write_atomically(folder / "dataset_info.json", json.dumps(info, indent=2))


def _write_parquet(rows: Sequence[BuildRow], recipe: BuildRecipe, folder: Path) -> None:
    save_atomically(folder / "train.parquet", lambda path: write_parquet(rows, recipe.work, path))


WRITERS: dict[ExportFormat, Callable[[Sequence[BuildRow], BuildRecipe, Path], None]] = {
    "messages": _write_messages,
    "tars": _write_tars,
    "sharegpt": _write_sharegpt,
    "parquet": _write_parquet,
}


def _placer(work: Path, folder: Path) -> Callable[[Part], Path]:
    """Return a function that links the file of a part into ``folder`` and returns its new path."""

    def place(part: Part) -> Path:
        target = folder / FOLDERS[part.type] / Path(part.path or f"{part.type}-without-file").name
        if part.path and not target.exists():
            target.parent.mkdir(exist_ok=True)
            try:
                os.link(work / part.path, target)
            except OSError:  # another file system, or one without hard links
                shutil.copyfile(work / part.path, target)
        return target

    return place


def _source_lines(rows: Sequence[BuildRow]) -> list[str]:
    keys = ("path", "caption", "source", "licence", "made_by", "score")
    return [
        json.dumps(
            {"id": row.id, "modality": part.type} | {key: getattr(part, key) for key in keys}, ensure_ascii=False
        )
        for row in rows
        for part in row.media
    ]
