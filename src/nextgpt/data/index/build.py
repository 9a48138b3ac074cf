"""Build an index: the captions and media of corpora as vectors, part by part, so that an interrupted build continues.

::

    parts/plan.json           what the parts belong to; parts of another build are refused
    parts/image-00000.npz     vectors of the first items of a modality, and the reasons why others have none
    invalid.jsonl             items that are not in the index, with the reason
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from nextgpt.atomic_files import write_atomically
from nextgpt.data.corpus import Corpus
from nextgpt.data.index.approximate import build_lists, is_available
from nextgpt.data.index.encoders import IndexEncoders, normalize
from nextgpt.data.index.files import (
    ITEMS,
    LISTS_SUFFIX,
    MANIFEST,
    OFFSETS,
    Dtype,
    Manifest,
    ModalityRange,
    format_item,
    read_manifest,
)
from nextgpt.data.record import InvalidRecord, MediaFile, media_of
from nextgpt.errors import ConfigError, MediaError
from nextgpt.logging import ProgressCallback
from nextgpt.message import Medium

ITEMS_PER_PART = 512
VECTORS = frozenset({"captions", "media", "words"})
"""Names of the vectors in a part; ``words`` only if the encoder embeds texts."""
PARTS, PLAN, INVALID = "parts", "plan.json", "invalid.jsonl"

Item = tuple[str, MediaFile]
"""Id and medium."""


@dataclass(frozen=True)
class BuildReport:
    """Counts of a finished build."""

    items: dict[str, int]
    """Number of items by modality."""
    invalid: tuple[InvalidRecord, ...]
    """Media that are not in the index, with the reason; ``invalid.jsonl`` has the same."""


def build_index(
    corpora: Sequence[Corpus],
    out: Path,
    *,
    model: str | Path = "nano",
    source: str = "",
    licence: str = "",
    dtype: Dtype = "float32",
    approximate: bool = False,
    on_progress: ProgressCallback = lambda *_: None,
) -> BuildReport:
    """Index all captioned media of ``corpora`` that have a file; continue an interrupted build.

    Args:
        model: Model whose encoder and text encoders make the vectors. Conditions of other models do not fit.
        source: Source of the media for which a corpus names none.
        licence: The same for licences.
        dtype: dtype of the vectors on disk; float16 halves the size, and searches take longer.
        approximate: Add lists for approximate search of captions; see :mod:`nextgpt.data.index.approximate`.

    Raises:
        ConfigError: No medium has a caption, or ``out`` holds an index of something else.
        ModelError: The model is missing, or has no text encoders.
    """
    if approximate and not is_available():
        raise ConfigError("approximate: faiss is not installed. Run pip install 'nextgpt[faiss]'.")
    encoders = IndexEncoders(model)
    items = collect_items(corpora, encoders.modalities)
    plan = Manifest(
        model=str(model if not Path(model).is_dir() else Path(model).resolve()),
        corpora={corpus.name: corpus.fingerprint() for corpus in corpora},
        components=encoders.fingerprints(),
        source=source,
        licence=licence,
        dtype=dtype,
        approximate=approximate,
    )
    if (out / MANIFEST).is_file():
        _check_plan(out / MANIFEST, read_manifest(out), plan)
    else:
        _compute_parts(items, out, plan, encoders, on_progress)
        _assemble(items, out, plan)
    shutil.rmtree(out / PARTS, ignore_errors=True)
    invalid = [InvalidRecord(**json.loads(line)) for line in (out / INVALID).read_text().splitlines()]
    return BuildReport({name: entry.count for name, entry in read_manifest(out).ranges.items()}, tuple(invalid))


def collect_items(corpora: Sequence[Corpus], modalities: Sequence[str]) -> dict[str, list[Item]]:
    """Return the captioned media with a file by modality, with unique ids; raise :class:`ConfigError` if none."""
    items: dict[str, list[Item]] = {modality: [] for modality in modalities}
    counts: dict[str, int] = {}
    for corpus in corpora:
        for record in corpus.records:
            for medium in media_of(record):
                if medium.modality in items and medium.caption and not medium.is_missing:
                    name = f"{corpus.name}/{record.key}"
                    counts[name] = counts.get(name, 0) + 1
                    unique = name if counts[name] == 1 else f"{name}#{counts[name]}"
                    items[medium.modality].append((unique, medium))
    if not any(items.values()):
        raise ConfigError(
            f"{', '.join(corpus.name for corpus in corpora)}: no medium has a file and a caption; expected captioned "
            f"media of {', '.join(modalities)}. Name the folder of the media with --media."
        )
    return {modality: rows for modality, rows in items.items() if rows}


def _check_plan(path: Path, stored: Manifest, plan: Manifest) -> None:
    """Raise :class:`ConfigError` if ``path`` belongs to another build."""
    new, old = plan.model_dump(exclude={"ranges"}), stored.model_dump(exclude={"ranges"})
    different = [name for name in new if new[name] != old[name]]
    if different:
        raise ConfigError(
            f"{path} was built with other {', '.join(different)}; expected the same. Name another folder with --out, "
            "or delete this one."
        )


def _compute_parts(
    items: dict[str, list[Item]], out: Path, plan: Manifest, encoders: IndexEncoders, on_progress: ProgressCallback
) -> None:
    """Write the parts that are missing."""
    parts = out / PARTS
    parts.mkdir(parents=True, exist_ok=True)
    path = parts / PLAN
    if path.is_file():
        _check_plan(path, Manifest.model_validate_json(path.read_bytes()), plan)
    else:
        write_atomically(path, lambda file: file.write_text(plan.model_dump_json(indent=1)), sync=True)
    for modality, rows in items.items():
        for path, chunk in _parts(parts, modality, rows):
            if not path.is_file():
                arrays = _encode(chunk, modality, encoders)
                write_atomically(path, lambda file, arrays=arrays: _save_arrays(file, arrays), sync=True)
            on_progress(modality, min((_number(path) + 1) * ITEMS_PER_PART, len(rows)), len(rows))


def _parts(folder: Path, modality: str, rows: Sequence[Item]) -> Iterator[tuple[Path, Sequence[Item]]]:
    for number, start in enumerate(range(0, len(rows), ITEMS_PER_PART)):
        yield folder / f"{modality}-{number:05d}.npz", rows[start : start + ITEMS_PER_PART]


def _number(path: Path) -> int:
    return int(path.stem.rpartition("-")[2])


def _save_arrays(path: Path, arrays: dict[str, np.ndarray]) -> None:
    with path.open("wb") as file:
        np.savez(file, **arrays)


def _encode(items: Sequence[Item], modality: str, encoders: IndexEncoders) -> dict[str, np.ndarray]:
    """Return the vectors of the valid items, their positions, and the reasons why the others are invalid."""
    with ThreadPoolExecutor(2) as pool:
        opened = list(pool.map(_open, (medium for _, medium in items)))
    valid = [position for position, medium in enumerate(opened) if not isinstance(medium, str)]
    reasons = {position: reason for position, reason in enumerate(opened) if isinstance(reason, str)}
    captions = [items[position][1].caption for position in valid]
    words = {"words": encoders.embed_words(captions)} if encoders.has_text_tower else {}
    return words | {
        "captions": encoders.embed_captions(captions, modality),
        "media": encoders.embed_media([opened[position] for position in valid]),
        "valid": np.array(valid, np.int64),
        "reasons": np.array(json.dumps(reasons)),
    }


def _open(medium: MediaFile) -> Medium | str:
    """Decode a medium, or return the reason why it cannot be decoded."""
    try:
        return medium.open()
    except MediaError as error:
        return str(error)


def _assemble(items: dict[str, list[Item]], out: Path, plan: Manifest) -> None:
    """Join the parts into the files of the index, the manifest last."""
    lines: list[bytes] = []
    invalid: list[InvalidRecord] = []
    ranges: dict[str, ModalityRange] = {}
    for modality, rows in items.items():
        paths: list[Path] = []
        start = len(lines)
        for path, chunk in _parts(out / PARTS, modality, rows):
            with np.load(path) as part:
                valid, reasons = part["valid"], json.loads(str(part["reasons"]))
            paths += [path] if len(valid) else []
            lines += [format_item(*chunk[position], out) for position in valid]
            invalid += [InvalidRecord(chunk[int(position)][0], reason) for position, reason in reasons.items()]
        if paths:
            ranges[modality] = ModalityRange(start=start, count=len(lines) - start)
            _save_table(out, modality, paths, ranges[modality].count, plan.dtype)
            if plan.approximate:
                _add_lists(out, modality)
    if not lines:
        raise ConfigError(
            f"No medium can be read; the first: {invalid[0].reason} Correct the corpus, and run this again."
        )
    offsets = np.cumsum([0, *map(len, lines)])
    write_atomically(out / ITEMS, lambda file: file.write_bytes(b"".join(lines)), sync=True)
    write_atomically(out / OFFSETS, lambda file: _save_array(file, offsets), sync=True)
    refused = "".join(json.dumps(asdict(record)) + "\n" for record in invalid)
    write_atomically(out / INVALID, lambda file: file.write_text(refused), sync=True)
    manifest = plan.model_copy(update={"ranges": ranges})
    write_atomically(out / MANIFEST, lambda file: file.write_text(manifest.model_dump_json(indent=1) + "\n"), sync=True)


def _save_table(out: Path, modality: str, parts: Sequence[Path], count: int, dtype: str) -> None:
    """Write the vectors of one modality; of large corpora one part at a time is in memory.

    Captions lose their mean: otherwise what all of them have in common would dominate the similarity.
    """
    mean = sum(np.load(path)["captions"].sum(axis=0, dtype=np.float64) for path in parts) / count
    write_atomically(out / f"{modality}.mean.npy", lambda file: _save_array(file, mean.astype(np.float32)), sync=True)
    for name in VECTORS & np.load(parts[0]).keys():

        def write(file: Path, name: str = name) -> None:
            width = np.load(parts[0])[name].shape[1]
            table = np.lib.format.open_memmap(file, "w+", np.dtype(dtype), (count, width))
            start = 0
            for path in parts:
                rows = np.load(path)[name]
                table[start : start + len(rows)] = normalize(rows - mean) if name == "captions" else rows
                start += len(rows)
            table.flush()

        write_atomically(out / f"{modality}.{name}.npy", write, sync=True)


def _add_lists(out: Path, modality: str) -> None:
    """Write the lists for approximate search."""
    captions = np.load(out / f"{modality}.captions.npy", mmap_mode="r")
    write_atomically(out / f"{modality}{LISTS_SUFFIX}", lambda file: build_lists(captions, file), sync=True)


def _save_array(path: Path, array: np.ndarray) -> None:
    with path.open("wb") as file:
        np.save(file, array)
