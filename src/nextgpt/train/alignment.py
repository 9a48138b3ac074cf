"""The alignments: examples, and the losses of a stage. The loop is :mod:`nextgpt.train.fit`'s."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from nextgpt.config import LoraConfig
from nextgpt.errors import ConfigError
from nextgpt.message import Conversation
from nextgpt.model.encoding.base import Features
from nextgpt.model.llm.language_model import NO_TOKEN, Thoughts
from nextgpt.model.llm.lora import extract
from nextgpt.model.llm.weaving import Prompt
from nextgpt.model.nextgpt import NextGPT
from nextgpt.train.stage import Stage

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
    if "lora" in stage.trains:
        if not extract(model.llm.transformer):
            model.adapt(lora)  # the model notes the settings, which its config.json must name
        for name, parameter in model.llm.transformer.named_parameters():
            parameter.requires_grad_(".lora_" in name)
    for name, part in _trainable_parts(model).items():
        if name in stage.trains:
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
    made = [medium for message in example.conversation if message.role == "assistant" for medium in message.media]
    edited = {id(made[position]) for position in example.edits}
    return model.llm.weave(example.conversation, is_answering=False, is_edit=lambda medium: id(medium) in edited)


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

    ``features`` are those of all media that users give in the examples, in order.
    """
    thoughts = model([weave(model, example) for example in examples], features)
    losses: dict[str, Tensor] = {}
    if "words" in stage.losses:
        losses["words"] = words_loss(thoughts, model.llm.signals.ids.first_id, first_signals_of(model))
    if "conditions" in stage.losses:
        losses |= condition_losses(model, thoughts, [example.captions for example in examples], targets)
    weights = {"words": 1.0}
    total = torch.stack([weights.get(name, condition_weight) * value for name, value in losses.items()]).sum()
    return {"loss": total, **losses}


def words_loss(thoughts: Thoughts, first_signal_id: int, first_signals: Sequence[int]) -> Float[Tensor, ""]:
    """Cross-entropy of what the assistant says next, over words and the first signal token of each run.

    The rest of a run is forced when answering, so it need not be learned (GILL, arXiv 2305.17216, section 3).
    """
    ids, is_target = thoughts.woven.ids[:, 1:], thoughts.woven.is_target[:, 1:]
    is_free = (ids < first_signal_id) | torch.isin(ids, torch.tensor(first_signals, device=ids.device))
    chosen = is_target & is_free & (ids != NO_TOKEN)
    return F.cross_entropy(thoughts.read(thoughts.hidden[:, :-1][chosen]).float(), ids[chosen])


def condition_losses(
    model: NextGPT, thoughts: Thoughts, captions: Sequence[Sequence[str]], targets: Targets
) -> dict[str, Tensor]:
    """For each modality, the mean squared distance between conditions and their captions' embeddings."""
    spans: dict[str, list[tuple[Tensor, str]]] = {}
    for row, of_row in enumerate(captions):
        found = model.llm.signals.ids.spans(thoughts.woven.ids[row].tolist())
        for span, caption in zip(found, of_row, strict=True):
            spans.setdefault(span.modality, []).append((thoughts.hidden[row, span.start : span.stop], caption))
    losses = {}
    for modality, pairs in spans.items():
        hidden, texts = zip(*pairs, strict=True)
        wanted = targets(modality, texts)  # (B, Q, C)
        said = model.condition(modality, torch.stack(hidden))
        if said.shape != wanted.shape:
            raise ConfigError(
                f"The {modality} output projection gives {tuple(said.shape[1:])} (queries, condition_width); its "
                f"synthesizer's text encoder says {tuple(wanted.shape[1:])}. Set output_projections.{modality} so."
            )
        losses[modality] = (said.float() - wanted).square().mean()
    return losses


def first_signals_of(model: NextGPT) -> list[int]:
    """The ids with which runs begin, those of the edit token and of each modality: what the model is free to choose."""
    ids = model.llm.signals.ids
    return [ids.edit, *(ids.run(modality)[0] for modality in model.config.synthesizers)]
