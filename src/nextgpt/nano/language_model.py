"""Recipe kind ``language_model``: nano's LLM with its tokenizer, pretrained on :mod:`.dialogue_text`.

The alignments then replace the captions of given media by soft tokens, and those of generated media by signal tokens.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import repeat
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedModel, PreTrainedTokenizerFast

from nextgpt.miniworld.language import Dialogue, sample_dialogue
from nextgpt.nano.component_training import DrawnBatch, train_component
from nextgpt.nano.dialogue_text import MARKERS, dialogue_to_text
from nextgpt.nano.tokenizer import train_tokenizer
from nextgpt.train.initial_model import compile_llm
from nextgpt.train.logging import MetricsCallback
from nextgpt.train.parameter_report import ParameterCount
from nextgpt.train.recipe import BaseRecipe
from nextgpt.train.registry import check_arguments, require_component
from nextgpt.train.trainer import Objective

USER_LOSS_WEIGHT = 0.1
"""Loss weight of the user's tokens; those of the assistant have weight 1."""
TOKENIZER_DIALOGUES = 4000


class Config(BaseRecipe):
    """The language model with its tokenizer."""

    kind: Literal["language_model"]
    vocabulary: int
    dialogues: int
    """Number of different dialogues."""
    context_length: int
    architecture: dict[str, Any]
    """Arguments of transformers' ``LlamaConfig``."""
    continue_training: bool = False
    """Start from the existing language model and its tokenizer, on other dialogues."""
    tasks: dict[str, float] | None = None
    """Weights of the tasks that dialogues end in; ``any`` is the small world's own mixture, ``phrased`` dialogues in
    people's words. None: the own mixture alone."""

    @property
    def sample_unit(self) -> str:
        """Return what ``fit.batch_size`` counts."""
        return "token"

    @property
    def output_dir(self) -> Path:
        """Return the transformers folder."""
        return self.model / "llm"


@dataclass(frozen=True)
class TokenDataset:
    """Tokenized dialogues, sorted by length so that neighbors need little padding."""

    ids: list[np.ndarray]
    is_reply: list[np.ndarray]

    @classmethod
    def of(cls, dialogues: Iterator[Dialogue], tokenizer: PreTrainedTokenizerFast, context_length: int) -> TokenDataset:
        """Tokenize dialogues; skip those that exceed the context length."""
        rows = []
        for spans in map(list, map(dialogue_to_text, dialogues)):
            # One call for all spans of a dialogue takes half the time of one call each.
            span_ids = tokenizer([span.text for span in spans], add_special_tokens=False)["input_ids"]
            ids = np.concatenate([np.asarray(ids, dtype=np.int32) for ids in span_ids])
            is_reply = np.concatenate(
                [np.full(len(ids), span.is_reply) for ids, span in zip(span_ids, spans, strict=True)]
            )
            if len(ids) <= context_length:
                rows.append((ids, is_reply))
        rows.sort(key=lambda row: len(row[0]))
        return cls([ids for ids, _ in rows], [is_reply for _, is_reply in rows])

    def draw_batch(self, rng: np.random.Generator, tokens: int) -> tuple[Tensor, Tensor]:
        """Draw neighbors of about ``tokens`` positions: ids and loss weights, (B, T) each, padded on the right."""
        first = int(rng.integers(len(self.ids)))
        size = max(1, tokens // len(self.ids[first]))
        rows = range(max(0, min(first, len(self.ids) - size)), min(first + size, len(self.ids)))
        length = max(len(self.ids[index]) for index in rows)
        ids = np.zeros((len(rows), length), dtype=np.int64)
        weights = np.zeros((len(rows), length), dtype=np.float32)
        for row, index in enumerate(rows):
            ids[row, : len(self.ids[index])] = self.ids[index]
            weights[row, : len(self.ids[index])] = np.where(self.is_reply[index], 1.0, USER_LOSS_WEIGHT)
        return torch.from_numpy(ids), torch.from_numpy(weights)


class LanguageModelObjective(Objective):
    """Weighted next-token cross-entropy."""

    def __init__(self, language_model: PreTrainedModel) -> None:
        super().__init__()
        self.language_model = language_model
        self.loss_weights = {"cross_entropy": 1.0}
        self.metric_names = ("replies",)

    def forward(self, batch: DrawnBatch) -> dict[str, Tensor]:
        """Return the loss, and the cross-entropy of the assistant's tokens alone."""
        ids, weights = (tensor.to(self.language_model.device) for tensor in batch.data)
        logits = self.language_model(input_ids=ids, use_cache=False).logits[:, :-1].float()
        losses = F.cross_entropy(logits.flatten(0, 1), ids[:, 1:].flatten(), reduction="none")
        weight = weights[:, 1:].flatten()
        return {"cross_entropy": (losses * weight).sum() / weight.sum(), "replies": losses[weight == 1].mean()}


def run(recipe: Config, on_metrics: MetricsCallback | None = None) -> bool:
    """Train the language model, fresh or continued, and write a transformers folder."""
    check_arguments(LlamaConfig, recipe.architecture, where="architecture")
    torch.manual_seed(recipe.fit.seed)
    rng = np.random.default_rng(recipe.fit.seed)
    if recipe.continue_training:
        folder = require_component(recipe.output_dir)
        tokenizer = PreTrainedTokenizerFast.from_pretrained(folder)
        model = LlamaForCausalLM.from_pretrained(folder, dtype=torch.float32)
    else:
        tokenizer = _train_tokenizer(rng, recipe.vocabulary)
        model = LlamaForCausalLM(_llama_config(recipe, tokenizer))
    if recipe.fit.compile:
        compile_llm(model)
    dialogues = (sample_dialogue(rng, "train", task=task) for task in _draw_tasks(rng, recipe))
    dataset = TokenDataset.of(dialogues, tokenizer, model.config.max_position_embeddings)
    if not train_component(recipe, LanguageModelObjective(model), dataset.draw_batch, on_metrics):
        return False
    model.to(torch.bfloat16).save_pretrained(recipe.output_dir)
    if not recipe.continue_training:
        tokenizer.save_pretrained(recipe.output_dir)
    return True


def _train_tokenizer(rng: np.random.Generator, vocabulary: int) -> PreTrainedTokenizerFast:
    dialogues = (sample_dialogue(rng, "train") for _ in range(TOKENIZER_DIALOGUES))
    texts = ["".join(span.text for span in dialogue_to_text(dialogue)) for dialogue in dialogues]
    return train_tokenizer(texts, vocabulary, markers=MARKERS)


def _llama_config(recipe: Config, tokenizer: PreTrainedTokenizerFast) -> LlamaConfig:
    return LlamaConfig(
        vocab_size=len(tokenizer),
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        max_position_embeddings=recipe.context_length,
        **recipe.architecture,
    )


def _draw_tasks(rng: np.random.Generator, recipe: Config) -> Iterator[str | None]:
    """Yield the task that each dialogue ends in, None for the small world's own mixture."""
    if recipe.tasks is None:
        yield from repeat(None, recipe.dialogues)
        return
    names = list(recipe.tasks)
    weights = np.array([*recipe.tasks.values()]) / sum(recipe.tasks.values())
    for index in rng.choice(len(names), size=recipe.dialogues, p=weights):
        yield names[index]


def count_parameters(recipe: Config) -> list[ParameterCount]:
    """Count the language model with the largest vocabulary that it may get."""
    with torch.device("meta"):
        model = LlamaForCausalLM(LlamaConfig(vocab_size=recipe.vocabulary, **recipe.architecture))
    return [ParameterCount.of("llm", model)]
