"""Media of an index, found by their captions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from nextgpt.data.build.files import write_atomically
from nextgpt.data.build.media_job import MediaMaker, MediumJob
from nextgpt.data.build.recipe import MediaConfig
from nextgpt.data.build.row import Candidate
from nextgpt.data.index import Hit, MediaIndex
from nextgpt.errors import MediaError

DEFAULT_THRESHOLD = 0.8
"""Minimum score of a retrieved medium if neither the recipe nor the index has a threshold."""


class RetrievalMaker:
    """Copies media from an index by their captions; edits are never retrieved.

    Args:
        otherwise: Makes what is not found; ``None`` drops it.
    """

    def __init__(
        self, modality: str, index: MediaIndex, settings: MediaConfig, work: Path, *, otherwise: MediaMaker | None
    ) -> None:
        self._modality, self._index, self._settings, self._work = modality, index, settings, work
        self._otherwise = otherwise
        # Thresholds of the index are for conditions, and so for captions that are embedded like these.
        self._by_words = index.has_words(modality)
        calibrated = DEFAULT_THRESHOLD if self._by_words else index.thresholds.get(modality, DEFAULT_THRESHOLD)
        self._threshold = calibrated if settings.threshold is None else settings.threshold
        fallback = otherwise.name if otherwise else "nothing"
        way = "retrieve by words" if self._by_words else "retrieve"
        self.name = f"{way} {settings.index} {self._threshold} {settings.max_reuse} otherwise {fallback}"
        self.batch_size = otherwise.batch_size if otherwise else settings.batch_size
        self._uses: Counter[str] = Counter()

    def make(self, jobs: Sequence[MediumJob], paths: Sequence[Path]) -> list[tuple[Candidate, ...]]:
        """See :meth:`.media_job.MediaMaker.make`."""
        outputs: list[tuple[Candidate, ...]] = [()] * len(jobs)
        batch_uses: Counter[str] = Counter()  # remember() counts them when the batch is done
        retrievable = [row for row, job in enumerate(jobs) if not job.edit_source]
        if retrievable and self._modality in self._index.modalities:
            captions = [jobs[row].caption for row in retrievable]
            depth = self._settings.candidates * (1 + self._settings.max_reuse)
            search = self._index.search_words if self._by_words else self._index.search_texts
            for row, hits in zip(retrievable, search(captions, self._modality, k=depth), strict=True):
                outputs[row] = self._copy(hits, paths[row], batch_uses)
        remaining = [row for row, candidates in enumerate(outputs) if not candidates]
        if remaining and self._otherwise is not None:
            others = self._otherwise.make([jobs[row] for row in remaining], [paths[row] for row in remaining])
            for row, candidates in zip(remaining, others, strict=True):
                outputs[row] = candidates
        return outputs

    def remember(self, candidate: Candidate) -> None:
        """See :meth:`.media_job.MediaMaker.remember`."""
        self._uses[candidate.made_by] += 1

    def _copy(self, hits: Sequence[Hit], stem: Path, batch_uses: Counter[str]) -> tuple[Candidate, ...]:
        """Copy the best hits above the threshold that are not used up."""
        candidates: list[Candidate] = []
        for hit in hits:
            made_by = f"retrieved by its caption {hit.caption!r} (item {hit.item_id})"
            is_used_up = self._uses[made_by] + batch_uses[made_by] >= self._settings.max_reuse
            if hit.score < self._threshold or is_used_up or len(candidates) == self._settings.candidates:
                continue
            path = stem.with_name(f"{stem.name}-{len(candidates)}{Path(hit.medium.name).suffix.lower()}")
            try:
                write_atomically(path, hit.medium.read())
            except MediaError:
                continue  # gone since the index was built; the next hit serves
            if not candidates:
                batch_uses[made_by] += 1
            candidates.append(
                Candidate(
                    path=path.relative_to(self._work).as_posix(),
                    score=round(hit.score, 4),
                    source=hit.source or str(hit.path),
                    licence=hit.licence,
                    made_by=made_by,
                )
            )
        return tuple(candidates)
