"""Media stage: give every caption a file, and keep the alternatives for the review.

Jobs are grouped by what they depend on: an edit starts from the medium that was chosen before it. Each finished job is
a JSON file next to its media, written last, so an interrupted stage continues.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from nextgpt.data.build.files import save_atomically, write_atomically
from nextgpt.data.build.media_job import JobFailed, MediaMaker, MediumJob, Slot
from nextgpt.data.build.recipe import BuildRecipe
from nextgpt.data.build.row import BuildRow, BuiltMessage, Candidate, Part
from nextgpt.errors import MediaError

MEDIA_DIR = "media"
Progress = Callable[[int, int], None]
Outcome = tuple[Candidate, ...] | JobFailed


def make_media(rows: Sequence[BuildRow], recipe: BuildRecipe, on_progress: Progress) -> list[BuildRow]:
    """Return the rows with a file for every medium; a row without one is dropped or pending."""
    if recipe.media.mode == "none":
        return list(rows)
    makers = _create_makers(recipe)
    chosen: dict[Slot, tuple[Candidate, ...]] = {}
    failed: dict[str, JobFailed] = {}
    total = sum(len(row.media) for row in rows if row.is_kept)
    for row in rows:
        if row.is_kept and row.plan.given is not None and row.plan.given.path:
            _use_given(row, recipe.work, chosen, failed)
    for jobs in iter(lambda: _ready_jobs(rows, chosen, failed, recipe.seed), []):
        for modality in sorted({job.modality for job in jobs}):
            batch_jobs = [job for job in jobs if job.modality == modality]
            for job, outcome in _run_jobs(batch_jobs, makers[modality], recipe.work):
                if isinstance(outcome, JobFailed):
                    failed[job.slot[0]] = outcome
                else:
                    chosen[job.slot] = outcome
                on_progress(len(chosen), total)
    return [_finish(row, chosen, failed) for row in rows]


def _create_makers(recipe: BuildRecipe) -> Mapping[str, MediaMaker]:
    from nextgpt.data.build.media_makers import create_makers  # loads torch

    return create_makers(recipe)


def _ready_jobs(
    rows: Sequence[BuildRow], chosen: Mapping[Slot, object], failed: Mapping[str, object], seed: int
) -> list[MediumJob]:
    """Return jobs that can run: those without edits, and edits of media that exist already."""
    jobs: list[MediumJob] = []
    for row in rows:
        if not row.is_kept or row.id in failed:
            continue
        for index, part in enumerate(row.media):
            slot = (row.id, index)
            source = edit_source_index(row.media, index)
            if slot in chosen or (source is not None and (row.id, source) not in chosen):
                continue
            path = "" if source is None else _best(chosen, (row.id, source)).path
            digest = hashlib.sha256(f"{seed} {row.id} {index}".encode()).digest()
            number = int.from_bytes(digest[:4], "big") >> 1
            jobs.append(MediumJob(slot, part.type, part.caption or "", number, path))
    return jobs


def _best(chosen: Mapping[Slot, object], slot: Slot) -> Candidate:
    candidates = chosen[slot]
    assert isinstance(candidates, tuple)
    return candidates[0]


def edit_source_index(media: Sequence[Part], index: int) -> int | None:
    """Return the index of the medium that an edit starts from: the last one of its modality before it."""
    if not media[index].is_edit:
        return None
    return next((i for i in reversed(range(index)) if media[i].type == media[index].type), None)


def _run_jobs(jobs: Sequence[MediumJob], maker: MediaMaker, work: Path) -> Iterator[tuple[MediumJob, Outcome]]:
    """Yield the outcome of each job. Batches do not depend on the cache, so that a resumed build gives equal files."""
    for start in range(0, len(jobs), maker.batch_size):
        batch = jobs[start : start + maker.batch_size]
        stems = [_stem(job, maker, work) for job in batch]
        stems[0].parent.mkdir(parents=True, exist_ok=True)
        cached = [_read_cache(stem, work) for stem in stems]
        if not all(cached):
            try:
                outputs = maker.make(batch, stems)
            except JobFailed as failure:
                yield from ((job, stored or failure) for job, stored in zip(batch, cached, strict=True))
                continue
            for stem, candidates in zip(stems, outputs, strict=True):
                content = [candidate.model_dump(exclude_defaults=True) for candidate in candidates]
                write_atomically(stem.with_suffix(".json"), json.dumps(content, ensure_ascii=False))
            cached = list(outputs)
        for job, candidates in zip(batch, cached, strict=True):
            if candidates:
                maker.remember(candidates[0])
            yield job, candidates or JobFailed("no_medium", f"nothing fits {job.caption!r}", is_final=True)


def _stem(job: MediumJob, maker: MediaMaker, work: Path) -> Path:
    key = json.dumps([maker.name, job.slot, job.caption, job.seed, job.edit_source])
    name = f"{job.slot[0]}-{job.slot[1]}-{hashlib.sha256(key.encode()).hexdigest()[:12]}"
    return work / MEDIA_DIR / job.modality / name


def _read_cache(stem: Path, work: Path) -> tuple[Candidate, ...]:
    """Return the candidates of a finished job if their files exist."""
    try:
        content = json.loads(stem.with_suffix(".json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return ()
    candidates = tuple(Candidate.model_validate(entry) for entry in content)
    return candidates if all((work / candidate.path).is_file() for candidate in candidates) else ()


def _use_given(
    row: BuildRow, work: Path, chosen: dict[Slot, tuple[Candidate, ...]], failed: dict[str, JobFailed]
) -> None:
    """Copy the medium of a corpus that the dialogue is about."""
    given = row.plan.given
    assert given is not None
    source = Path(given.path)
    target = work / MEDIA_DIR / given.modality / f"{row.id}-0-given{source.suffix.lower()}"
    try:
        if not target.is_file():
            save_atomically(target, lambda unfinished: shutil.copyfile(source, unfinished))
    except (OSError, MediaError) as error:
        failed[row.id] = JobFailed("unreadable", str(error), is_final=True)
        return
    candidate = Candidate(
        path=target.relative_to(work).as_posix(), source=given.source, licence=given.licence, made_by="from the corpus"
    )
    chosen[row.id, 0] = (candidate,)


def _finish(row: BuildRow, chosen: Mapping[Slot, tuple[Candidate, ...]], failed: Mapping[str, JobFailed]) -> BuildRow:
    if not row.is_kept:
        return row
    if failure := failed.get(row.id):
        change = row.dropped if failure.is_final else row.pending
        return change("media", failure.reason, failure.detail)
    index = -1
    messages: list[BuiltMessage] = []
    for message in row.messages:
        parts: list[Part] = []
        for part in message.content:
            if part.type != "text":
                index += 1
                candidates = chosen[row.id, index]
                part = part.with_candidate(candidates[0]).model_copy(update={"candidates": candidates})
            parts.append(part)
        messages.append(message.model_copy(update={"content": tuple(parts)}))
    return row.model_copy(update={"messages": tuple(messages), "stage": "media"})
