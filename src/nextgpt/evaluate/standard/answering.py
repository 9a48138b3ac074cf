"""Answer the items of a run with its systems, batch by batch; finished batches are kept when the run is killed."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from hashlib import blake2b
from pathlib import Path

from nextgpt.atomic_files import flush
from nextgpt.evaluate.standard.item_systems.base import ItemSystem, answer_each
from nextgpt.evaluate.standard.items import MediumEntry, TextEntry
from nextgpt.evaluate.standard.records import ItemRecord
from nextgpt.evaluate.standard.run_folder import MEDIA_DIR, RunFolder
from nextgpt.logging import ProgressCallback
from nextgpt.message import Reply, Text, media_filename


def answer_items(
    run: RunFolder, systems: Sequence[str], create: Callable[[str], ItemSystem], on_progress: ProgressCallback
) -> None:
    """Complete the records of all systems; ``create`` is called for systems that still have items to answer.

    Raises:
        ConfigError: A server cannot be reached. Finished batches stay; the same call continues.
    """
    for name in systems:
        done = len(run.drop_incomplete_batch(name))
        total = len(run.items)
        system = create(name) if done < total else None
        stage = f"{run.manifest.suite} ({name})"
        if system is not None:
            on_progress(stage, done, total)
        while system is not None and done < total:
            batch = range(done, min(done + run.manifest.batch_size, total))
            run.append(name, list(_answer_batch(run, name, system, batch)))
            done = batch.stop
            on_progress(stage, done, total)


def item_seed(seed: int, item_id: str) -> int:
    """Return the seed of an item's answer; it depends on the run's seed and the item only."""
    return int.from_bytes(blake2b(f"{seed}/{item_id}".encode(), digest_size=4).digest(), "big") >> 1


def _answer_batch(run: RunFolder, name: str, system: ItemSystem, batch: range) -> Iterator[ItemRecord]:
    """Yield the records of a batch, with their media written."""
    items = [run.items[index] for index in batch]
    seeds = [item_seed(run.manifest.seed, item.id) for item in items]
    start = time.perf_counter()
    replies = answer_each(system, items, seeds)
    seconds = round((time.perf_counter() - start) / len(items), 4)
    for index, item, seed, reply in zip(batch, items, seeds, replies, strict=True):
        if isinstance(reply, str):
            yield ItemRecord(id=item.id, seed=seed, seconds=seconds, error=reply)
        else:
            parts = _save_parts(reply, run.system_dir(name), f"{MEDIA_DIR}/{index:05d}")
            yield ItemRecord(id=item.id, parts=parts, seed=seed, seconds=seconds)


def _save_parts(reply: Reply, folder: Path, subfolder: str) -> tuple[TextEntry | MediumEntry, ...]:
    """Write the media of a reply to disk; the record that names them is appended afterwards."""
    entries: list[TextEntry | MediumEntry] = []
    for index, part in enumerate(reply.parts):
        if isinstance(part, Text):
            entries.append(TextEntry(type="text", text=part.text))
            continue
        (folder / subfolder).mkdir(parents=True, exist_ok=True)
        path = part.save(folder / subfolder / media_filename(index, part))
        flush(path)
        entries.append(MediumEntry(type=part.modality, path=f"{subfolder}/{path.name}"))
    return tuple(entries)
