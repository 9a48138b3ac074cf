"""Where media come from: a model's synthesizers, an index of a corpus, or an endpoint; ``auto`` combines them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from nextgpt.config import read_config
from nextgpt.data.build.files import save_atomically, write_atomically
from nextgpt.data.build.media import MediaMaker, MediumJob
from nextgpt.data.build.recipe import BuildRecipe, MediaConfig
from nextgpt.data.build.row import Candidate
from nextgpt.data.build.scoring import score_captions
from nextgpt.data.index import Hit, MediaIndex
from nextgpt.errors import MediaError, ModelError
from nextgpt.media.read_any import READERS
from nextgpt.message import Medium
from nextgpt.modality import MODALITIES
from nextgpt.model.hub import resolve_component_dir
from nextgpt.model.loading import lazy_components, resolve_model_dir
from nextgpt.model.memory_plan import default_plan
from nextgpt.model.synthesis.prompt_encoder import PromptEncoder

DEFAULT_THRESHOLD = 0.8
"""Minimum score of a retrieved medium if neither the recipe nor the index has a threshold."""


def create_makers(recipe: BuildRecipe) -> dict[str, MediaMaker]:
    """Return the maker of each modality. Models and indexes are loaded on first use."""
    settings = recipe.media
    makers: dict[str, MediaMaker] = {}
    model = ModelMedia(settings, recipe.work)
    index = MediaIndex.open(settings.index) if settings.index is not None and settings.mode != "synthesize" else None
    for modality in MODALITIES:
        maker: MediaMaker = SynthesisMaker(modality, model)
        if settings.endpoint is not None and modality in settings.endpoint.modalities:
            from nextgpt.data.build.media_endpoint import EndpointMaker

            maker = EndpointMaker(modality, settings, recipe.work, budget=recipe.budget, model=model)
        if index is not None:
            other = maker if settings.mode == "auto" else None
            maker = RetrievalMaker(modality, index, settings, recipe.work, otherwise=other)
        makers[modality] = maker
    return makers


class ModelMedia:
    """The synthesizers and the encoder of a model; its LLM is not loaded."""

    def __init__(self, settings: MediaConfig, work: Path) -> None:
        self.settings = settings
        self.work = work

    @cached_property
    def _parts(self) -> tuple[Any, Path, dict[str, Any]]:
        folder = resolve_model_dir(self.settings.model)
        config = read_config(folder)
        return config, folder, lazy_components(config, folder, default_plan(config.component_sources))

    @cached_property
    def _prompt_encoders(self) -> dict[str, PromptEncoder]:
        return {}

    @property
    def encoder(self) -> Any:
        """The encoder."""
        return self._parts[2]["encoder"].get()

    def synthesizer(self, modality: str) -> Any:
        """Return the synthesizer of a modality. Raises :class:`ModelError` if there is none."""
        config, _, components = self._parts
        if modality not in config.synthesizers:
            raise ModelError(
                f"{self.settings.model} generates {', '.join(config.synthesizers)}; expected {modality} too. Name "
                "another media.model, or set the weights of the other mixes to 0."
            )
        return components[modality].get()

    def prompt_encoder(self, modality: str) -> PromptEncoder:
        """Return the text encoder of a synthesizer."""
        config, folder, _ = self._parts
        if modality not in self._prompt_encoders:
            source = config.synthesizers[modality].source
            self._prompt_encoders[modality] = PromptEncoder(resolve_component_dir(source, folder))
        return self._prompt_encoders[modality]

    def open(self, path: str) -> Medium:
        """Open a file of the work directory by the modality of its folder."""
        return READERS[Path(path).parent.name](self.work / path)


class SynthesisMaker:
    """Generates media from captions, by the text encoder that the synthesizer was trained with."""

    def __init__(self, modality: str, model: ModelMedia) -> None:
        settings = model.settings
        self._modality, self._model = modality, model
        self.name = f"synthesize {settings.model} {settings.candidates} {settings.num_inference_steps}"
        self.batch_size = settings.batch_size

    @torch.inference_mode()
    def make(self, jobs: Sequence[MediumJob], paths: Sequence[Path]) -> list[tuple[Candidate, ...]]:
        """See :meth:`.media.MediaMaker.make`."""
        settings = self._model.settings
        synthesizer = self._model.synthesizer(self._modality)
        conditions = self._model.prompt_encoder(self._modality).encode([job.caption for job in jobs])
        found: list[list[Candidate]] = [[] for _ in jobs]
        for number in range(settings.candidates):
            for rows in _split([bool(job.edit_source) for job in jobs]):
                sources = [self._model.open(jobs[row].edit_source) for row in rows if jobs[row].edit_source]
                *_, last = synthesizer.denoise(
                    conditions[rows],
                    seeds=[jobs[row].seed + number for row in rows],
                    num_inference_steps=settings.num_inference_steps,
                    edit_source=sources or None,
                )
                for row, medium in zip(rows, synthesizer.decode(last.latents), strict=True):
                    found[row].append(self._save(medium, paths[row], jobs[row], number))
        return rank(found, [job.caption for job in jobs], self._model)

    def remember(self, chosen: Candidate) -> None:
        """See :meth:`.media.MediaMaker.remember`."""

    def _save(self, medium: Medium, stem: Path, job: MediumJob, number: int) -> Candidate:
        settings = self._model.settings
        path = stem.with_name(f"{stem.name}-{number}{MODALITIES[self._modality].suffix}")
        save_atomically(path, medium.save)
        edited = f", edited from {job.edit_source}" if job.edit_source else ""
        return Candidate(
            path=path.relative_to(self._model.work).as_posix(),
            source=settings.model,
            licence=settings.licence,
            made_by=f"synthesized by {settings.model}, seed {job.seed + number}{edited}",
        )


def rank(
    found: Sequence[Sequence[Candidate]], captions: Sequence[str], model: ModelMedia
) -> list[tuple[Candidate, ...]]:
    """Score all candidates with the encoder, as files that were read again, and sort them."""
    flat = [(row, candidate) for row, candidates in enumerate(found) for candidate in candidates]
    media = [model.open(candidate.path) for _, candidate in flat]
    scores = score_captions(model.encoder, media, [captions[row] for row, _ in flat])
    ranked: list[list[Candidate]] = [[] for _ in found]
    for (row, candidate), score in zip(flat, scores, strict=True):
        rounded = None if score is None else round(score, 4)
        ranked[row].append(candidate.model_copy(update={"score": rounded}))
    return [tuple(sorted(candidates, key=lambda c: -(c.score or 0.0))) for candidates in ranked]


def _split(is_edit: Sequence[bool]) -> list[list[int]]:
    """Return the rows of edits and of other jobs, without empty groups."""
    groups = [[row for row, edit in enumerate(is_edit) if edit is kind] for kind in (False, True)]
    return [group for group in groups if group]


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
        calibrated = index.thresholds.get(modality, DEFAULT_THRESHOLD)
        self._threshold = calibrated if settings.threshold is None else settings.threshold
        fallback = otherwise.name if otherwise else "nothing"
        self.name = f"retrieve {settings.index} {self._threshold} {settings.max_reuse} otherwise {fallback}"
        self.batch_size = otherwise.batch_size if otherwise else settings.batch_size
        self._uses: Counter[str] = Counter()

    def make(self, jobs: Sequence[MediumJob], paths: Sequence[Path]) -> list[tuple[Candidate, ...]]:
        """See :meth:`.media.MediaMaker.make`."""
        made: list[tuple[Candidate, ...]] = [()] * len(jobs)
        wanted = [row for row, job in enumerate(jobs) if not job.edit_source]
        if wanted and self._modality in self._index.modalities:
            captions = [jobs[row].caption for row in wanted]
            depth = self._settings.candidates * (1 + self._settings.max_reuse)
            for row, hits in zip(wanted, self._index.search_texts(captions, self._modality, k=depth), strict=True):
                made[row] = self._copy(hits, paths[row])
        left = [row for row, candidates in enumerate(made) if not candidates]
        if left and self._otherwise is not None:
            others = self._otherwise.make([jobs[row] for row in left], [paths[row] for row in left])
            for row, candidates in zip(left, others, strict=True):
                made[row] = candidates
        return made

    def remember(self, chosen: Candidate) -> None:
        """See :meth:`.media.MediaMaker.remember`."""
        self._uses[chosen.made_by] += 1

    def _copy(self, hits: Sequence[Hit], stem: Path) -> tuple[Candidate, ...]:
        """Copy the best hits above the threshold that are not used up."""
        candidates: list[Candidate] = []
        for hit in hits:
            made_by = f"retrieved by its caption {hit.caption!r} (item {hit.item_id})"
            is_used_up = self._uses[made_by] >= self._settings.max_reuse
            if hit.score < self._threshold or is_used_up or len(candidates) == self._settings.candidates:
                continue
            path = stem.with_name(f"{stem.name}-{len(candidates)}{Path(hit.medium.name).suffix.lower()}")
            try:
                write_atomically(path, hit.medium.read())
            except MediaError:
                continue  # gone since the index was built; the next hit serves
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
