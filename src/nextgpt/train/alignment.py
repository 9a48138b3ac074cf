"""The alignments: examples, and the losses of a stage. The loop is :mod:`nextgpt.train.fit`'s."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from nextgpt.config import LoraConfig
from nextgpt.errors import ConfigError
from nextgpt.message import Conversation
from nextgpt.model.encoding.base import Features
from nextgpt.model.llm.language_model import NO_TOKEN_ID, LLMForwardOutput
from nextgpt.model.llm.lora import extract
from nextgpt.model.llm.prompt import Prompt
from nextgpt.model.nextgpt import NextGPT
from nextgpt.train.distances import MEASURES
from nextgpt.train.stage import Distance, Stage

Targets = Callable[[str, Sequence[str]], Float[Tensor, "B Q C"]]
"""``(modality, captions) -> conditions``: what the diffusion model's text encoder says of captions."""


@dataclass(frozen=True)
class Example:
    """A conversation to learn from."""

    conversation: Conversation
    captions: tuple[str, ...] = ()
    """What each medium that the assistant makes shows, in order."""
    edits: frozenset[int] = field(default_factory=frozenset)
    """Which of them are edits, by position among the media that the assistant makes."""


def prepare(model: NextGPT, stage: Stage, lora: LoraConfig) -> None:
    """Let exactly what the stage names be trained; adapters that are not there yet begin by changing nothing."""
    model.requires_grad_(False)
    if "lora" in stage.trainable:
        if not extract(model.llm.transformer):
            model.add_lora(lora)  # the model notes the settings, which its config.json must name
        for name, parameter in model.llm.transformer.named_parameters():
            parameter.requires_grad_(".lora_" in name)
    for name, part in _trainable_parts(model).items():
        if name in stage.trainable:
            part.requires_grad_(True)
    model.train()


def _trainable_parts(model: NextGPT) -> dict[str, nn.Module]:
    return {
        "input_projection": model.input_projection,
        "output_projections": model.output_projections,
        "signal_tokens": model.llm.signals,
    }


def weave(model: NextGPT, example: Example) -> Prompt:
    """Lay an example out as a whole conversation, runs of edits marked."""
    made = [
        medium for message in example.conversation if message.role == "assistant" for medium in message.media
    ]
    edited = {id(made[position]) for position in example.edits}
    return model.llm.build_prompt(
        example.conversation, add_generation_prompt=False, is_edit=lambda medium: id(medium) in edited
    )


def alignment_loss(
    model: NextGPT,
    examples: Sequence[Example],
    *,
    features: Sequence[Features],
    stage: Stage,
    targets: Targets,
    condition_weight: float = 1.0,
) -> dict[str, Tensor]:
    """The losses of a batch, each under its name, their weighted sum under ``loss``.

    ``features`` are those of all media that users give in the examples, in order; ``condition_weight`` is laid on
    distances beside the stage's own weights.
    """
    assert "denoising" not in stage.loss_weights, "latents of media are known to train.objective alone"
    thoughts = model([weave(model, example) for example in examples], features)
    losses: dict[str, Tensor] = {}
    if "words" in stage.loss_weights:
        losses["words"] = words_loss(thoughts, model.llm.signals.vocabulary.offset, first_signals_of(model))
    if stage.distances:
        said = said_conditions(model, thoughts, [example.captions for example in examples])
        losses |= condition_losses(said, targets, stage.distances)
    total = torch.stack([
        stage.loss_weights[name.partition(".")[0]] * (1.0 if name == "words" else condition_weight) * value
        for name, value in losses.items()
    ]).sum()  # fmt: skip
    return {"loss": total, **losses}


def words_loss(
    thoughts: LLMForwardOutput, first_signal_id: int, first_signals: Sequence[int]
) -> Float[Tensor, ""]:
    """Cross-entropy of what the assistant says next, over words and the first signal token of each run.

    The rest of a run is forced when answering, so it need not be learned (GILL, arXiv 2305.17216, section 3).
    """
    ids, is_target = thoughts.prompts.input_ids[:, 1:], thoughts.prompts.loss_mask[:, 1:]
    is_free = (ids < first_signal_id) | torch.isin(ids, torch.tensor(first_signals, device=ids.device))
    chosen = is_target & is_free & (ids != NO_TOKEN_ID)
    return F.cross_entropy(thoughts.lm_head(thoughts.hidden_states[:, :-1][chosen]).float(), ids[chosen])


@dataclass(frozen=True, eq=False)
class Said:
    """What the output projection of one modality makes of all its runs in a batch."""

    conditions: Float[Tensor, "B Q C"]
    captions: tuple[str, ...]
    places: tuple[tuple[int, int], ...]
    """Of each run the example, and its number among the media that are made there."""


def said_conditions(
    model: NextGPT, thoughts: LLMForwardOutput, captions: Sequence[Sequence[str]]
) -> dict[str, Said]:
    """Conditions at all runs of signal tokens, by modality; ``captions`` are those of each example's made media."""
    flat, length = thoughts.hidden_states.flatten(0, 1), thoughts.hidden_states.shape[1]  # (B * T, D)
    runs: dict[str, list[tuple[range, str, tuple[int, int]]]] = {}
    for row, (ids, of_row) in enumerate(zip(thoughts.prompts.input_ids.tolist(), captions, strict=True)):
        found = model.llm.signals.vocabulary.spans(ids)
        for number, (span, caption) in enumerate(zip(found, of_row, strict=True)):
            positions = range(row * length + span.start, row * length + span.stop)
            runs.setdefault(span.modality, []).append((positions, caption, (row, number)))
    said = {}
    for modality, of_modality in runs.items():
        positions, texts, places = zip(*of_modality, strict=True)
        hidden = F.embedding(
            torch.tensor([list(run) for run in positions], device=flat.device), flat
        )  # (n, S, D)
        said[modality] = Said(model.project_conditions(modality, hidden).float(), texts, places)
    return said


def condition_losses(
    said: Mapping[str, Said], targets: Targets, distances: Sequence[Distance] = ("squared",)
) -> dict[str, Tensor]:
    """For each modality, the mean distances between conditions and their captions' embeddings, as ``l2.image``."""
    losses = {}
    for modality, runs in said.items():
        wanted = targets(modality, runs.captions)  # (B, Q, C)
        if runs.conditions.shape != wanted.shape:
            raise ConfigError(
                f"The {modality} output projection gives {tuple(runs.conditions.shape[1:])} (queries, condition_width);"
                f" its synthesizer's text encoder says {tuple(wanted.shape[1:])}. Set output_projections.{modality} so."
            )
        for name in distances:
            losses[f"{name}.{modality}"] = MEASURES[name](runs.conditions, wanted)
    return losses


def first_signals_of(model: NextGPT) -> list[int]:
    """The ids with which runs begin, those of the edit token and of each modality: what the model is free to choose."""
    ids = model.llm.signals.vocabulary
    return [ids.edit, *(ids.span_ids(modality)[0] for modality in model.config.synthesizers)]
