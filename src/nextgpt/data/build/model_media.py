"""Media from the synthesizers of a model, ranked by its encoder; its LLM is not loaded."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from nextgpt.config import read_config
from nextgpt.data.build.files import save_atomically
from nextgpt.data.build.media_job import MediumJob
from nextgpt.data.build.recipe import MediaConfig
from nextgpt.data.build.row import Candidate
from nextgpt.data.build.scoring import score_captions
from nextgpt.errors import ModelError
from nextgpt.media.read_any import READERS
from nextgpt.message import Medium
from nextgpt.modality import MODALITIES
from nextgpt.model.hub import resolve_component_dir
from nextgpt.model.loading import lazy_components
from nextgpt.model.memory_plan import default_plan
from nextgpt.model.model_dir import resolve_model_dir
from nextgpt.model.synthesis.prompt_encoder import PromptEncoder


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
        """See :meth:`.media_job.MediaMaker.make`."""
        settings = self._model.settings
        synthesizer = self._model.synthesizer(self._modality)
        conditions = self._model.prompt_encoder(self._modality).encode([job.caption for job in jobs])
        candidates: list[list[Candidate]] = [[] for _ in jobs]
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
                    candidates[row].append(self._save(medium, paths[row], jobs[row], number))
        return rank(candidates, [job.caption for job in jobs], self._model)

    def remember(self, candidate: Candidate) -> None:
        """See :meth:`.media_job.MediaMaker.remember`."""

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
    by_job: Sequence[Sequence[Candidate]], captions: Sequence[str], model: ModelMedia
) -> list[tuple[Candidate, ...]]:
    """Score all candidates with the encoder, as files that were read again, and sort them."""
    flat = [(row, candidate) for row, candidates in enumerate(by_job) for candidate in candidates]
    media = [model.open(candidate.path) for _, candidate in flat]
    scores = score_captions(model.encoder, media, [captions[row] for row, _ in flat])
    ranked: list[list[Candidate]] = [[] for _ in by_job]
    for (row, candidate), score in zip(flat, scores, strict=True):
        rounded = None if score is None else round(score, 4)
        ranked[row].append(candidate.model_copy(update={"score": rounded}))
    return [tuple(sorted(candidates, key=lambda c: -(c.score or 0.0))) for candidates in ranked]


def _split(is_edit: Sequence[bool]) -> list[list[int]]:
    """Return the rows of edits and of other jobs, without empty groups."""
    groups = [[row for row, edit in enumerate(is_edit) if edit is kind] for kind in (False, True)]
    return [group for group in groups if group]
