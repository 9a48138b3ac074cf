"""Recipe kind ``output_projections``: train the output projections alone, on cached hidden states of a finished LLM.

Once the LLM is frozen, its hidden states at signal tokens are data: computed once, they train the projections in
minutes, while every step through the LLM takes seconds. More of such data improves conditions; more capacity does not.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from nextgpt.atomic_files import write_atomically
from nextgpt.message import Text
from nextgpt.model.nextgpt import NextGPT
from nextgpt.nano.component_training import DrawnBatch, train_component
from nextgpt.nano.projection_start import load_source, start_output_projection
from nextgpt.train.align import make_sampler
from nextgpt.train.alignment_recipe import AlignmentRecipe
from nextgpt.train.dataset import Example, LocalBatch
from nextgpt.train.frozen_encoders import EncodePrompts, FrozenEncoders, attach_encoder_outputs, lazy_prompt_encoders
from nextgpt.train.initial_model import load_initial_model
from nextgpt.train.logging import MetricsCallback
from nextgpt.train.losses import CONDITION_DISTANCES
from nextgpt.train.parameter_report import ParameterCount, count_prepared_model
from nextgpt.train.stages import Stage, StageName
from nextgpt.train.trainer import Objective

STATES_FILE = "states.pt"


class Config(AlignmentRecipe):
    """The output projections of a trained model; ``data`` is what the LLM reads to produce hidden states."""

    kind: Literal["output_projections"]  # pyright: ignore[reportIncompatibleVariableOverride]
    stage: StageName = "decoding-alignment"
    num_states: int
    """Media whose hidden states are cached."""
    llm_batch_size: int = 16
    """Dialogues per forward pass of the LLM."""
    start_from: str | None = None
    """Model whose output projections are the start; their first layers are fitted to its hidden states by ridge
    regression. None: the initial model's own."""

    @property
    def sample_unit(self) -> str:
        """Return what ``fit.batch_size`` counts."""
        return "medium"


@dataclass(frozen=True, eq=False)
class CachedStates:
    """Hidden states at the signal tokens of media of one modality."""

    hidden: Float[Tensor, "B S D"]
    captions: tuple[str, ...]
    words: tuple[str, ...]
    """The assistant's text right before each medium, or its caption."""

    def __len__(self) -> int:
        return len(self.captions)


class ProjectionObjective(Objective):
    """Distances between the conditions of cached states and caption embeddings."""

    def __init__(
        self,
        model: NextGPT,
        states: Mapping[str, CachedStates],
        encode_prompts: Mapping[str, EncodePrompts],
        stage: Stage,
    ) -> None:
        super().__init__()
        self.model, self.states, self.encode_prompts = model, states, encode_prompts
        self.distances = stage.distances
        self.loss_weights = {
            f"{distance}.{modality}": stage.loss_weights[distance]
            for distance in stage.distances
            for modality in states
        }

    def draw_batch(self, rng: np.random.Generator, size: int) -> dict[str, list[int]]:
        """Draw media of every modality in proportion to its states."""
        total = sum(map(len, self.states.values()))
        return {
            modality: rng.integers(len(states), size=max(1, round(size * len(states) / total))).tolist()
            for modality, states in self.states.items()
        }

    def forward(self, batch: DrawnBatch) -> dict[str, Tensor]:
        """Return the distances by name and modality."""
        losses = {}
        for modality, rows in batch.data.items():
            states = self.states[modality]
            predicted = self.model.project_conditions(modality, states.hidden[rows].float()).float()
            with torch.no_grad():
                target = self.encode_prompts[modality]([states.captions[row] for row in rows]).clone()
            for distance in self.distances:
                losses[f"{distance}.{modality}"] = CONDITION_DISTANCES[distance](predicted, target.float())
        return losses


def run(recipe: Config, on_metrics: MetricsCallback | None = None) -> bool:
    """Cache hidden states, train the projections on them, and write the whole model folder."""
    model = load_initial_model(recipe).requires_grad_(False).eval()
    states = _load_or_compute_states(recipe)
    if recipe.start_from is not None:
        source = load_source(recipe.start_from)
        for modality, rows in states.items():
            start_output_projection(model, source, modality, rows.hidden, rows.words)
    model.output_projections.requires_grad_(True)
    prompt_encoders = lazy_prompt_encoders(model, recipe.model_dir)
    objective = ProjectionObjective(model, states, prompt_encoders, recipe.resolved_stage)
    if not train_component(recipe, objective, objective.draw_batch, on_metrics):
        return False
    model.save_pretrained(recipe.model, dtype=getattr(torch, recipe.save_dtype))
    return True


def count_parameters(recipe: Config) -> list[ParameterCount]:
    """Count the output projections as trained."""
    model = load_initial_model(recipe).requires_grad_(False)
    model.output_projections.requires_grad_(True)
    return count_prepared_model(model, recipe.model_dir)


def _load_or_compute_states(recipe: Config) -> dict[str, CachedStates]:
    path: Path = recipe.work / STATES_FILE
    if path.is_file():
        stored = torch.load(path, weights_only=True)
        return {modality: CachedStates(*values) for modality, values in stored.items()}
    # Loaded for inference, so that the states are those of the dtype that replies are generated in.
    states = compute_states(NextGPT.from_pretrained(recipe.model_dir).requires_grad_(False), recipe)
    path.parent.mkdir(parents=True, exist_ok=True)
    content = {modality: (row.hidden, row.captions, row.words) for modality, row in states.items()}
    write_atomically(path, lambda file: torch.save(content, file))
    return states


def compute_states(model: NextGPT, recipe: Config) -> dict[str, CachedStates]:
    """Return the hidden states of at least ``recipe.num_states`` media, by modality."""
    sampler = replace(make_sampler(recipe, model), batch_size=recipe.llm_batch_size)
    encoders = FrozenEncoders(lambda media: model.encoder.encode(media))
    states: dict[str, list[tuple[Tensor, str, str]]] = {}
    for batch in attach_encoder_outputs((sampler.local_batch(step) for step in count()), encoders):
        for modality, *row in _batch_states(model, batch):
            states.setdefault(modality, []).append(tuple(row))
        if sum(map(len, states.values())) >= recipe.num_states:
            break
    return {modality: _stack(rows) for modality, rows in states.items()}


def _stack(rows: Sequence[tuple[Tensor, str, str]]) -> CachedStates:
    hidden, captions, words = zip(*rows, strict=True)
    return CachedStates(torch.stack(hidden), captions, words)


@torch.no_grad()
def _batch_states(model: NextGPT, batch: LocalBatch) -> Iterator[tuple[str, Tensor, str, str]]:
    features: Sequence = [row for item in batch.items if item.encoded for row in item.encoded.features]
    output = model([item.prompt for item in batch.items], features)
    for row, item in enumerate(batch.items):
        spans = model.llm.signals.vocabulary.spans(output.prompts.input_ids[row].tolist())
        words = _words_before_media(item.example)
        for span, caption, text in zip(spans, item.example.captions, words, strict=True):
            states = output.hidden_states[row, span.start : span.stop]
            yield span.modality, states.to("cpu", torch.bfloat16).clone(), caption, text or caption


def _words_before_media(example: Example) -> Iterator[str]:
    """Yield the text right before each of the assistant's media; empty if there is none."""
    for message in example.conversation:
        text = ""
        for part in message.parts if message.role == "assistant" else ():
            if isinstance(part, Text):
                text = part.text
            else:
                yield text.strip()
                text = ""
