"""Pretraining of the language model: dialogues in which media stand as captions between markers.

What a picture shows and what a request asks for, the model first learns in words alone::

    <|user|>What is this?<|image|>large red cat top left, grass background<|close|><|end|>
    <|assistant|>This is a red cat.<|end|><|user|>Draw it on the sea.<|end|>
    <|assistant|>Here it is.<|image|>large red cat top left, sea background<|close|><|end|>

The alignments then put soft tokens in the place of given captions and signal tokens in the place of written ones.
Written captions are also what the cascade passes on, so this model is the baseline that the direct way is measured
against.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import repeat
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from nextgpt.miniworld.language import Dialogue, MediaPart, canonical_caption, sample_dialogue
from nextgpt.modality import MODALITIES
from nextgpt.model.llm.template import TEMPLATES
from nextgpt.train.fit import TrainerConfig, fit
from nextgpt.train.pretrain.attention import compile_for_training, float32_attention
from nextgpt.train.pretrain.tokenizer import train_tokenizer

ROLES = ("<|system|>", "<|user|>", "<|assistant|>")
CLOSE, EDIT = "<|close|>", "<|edit|>"
MARKERS = (*ROLES, *(f"<|{modality}|>" for modality in MODALITIES), CLOSE, EDIT)
HEARD_WEIGHT = 0.1
"""Weight of predicting what the user says, beside 1 for what the assistant says."""
TOKENIZER_DIALOGUES = 4000
ANY = "any"
"""Among the tasks of a recipe: whatever comes."""


@dataclass(frozen=True)
class Speech:
    """A stretch of text of one speaker."""

    text: str
    is_answer: bool


def in_words(dialogue: Dialogue) -> Iterator[Speech]:
    """A dialogue as text by nano's template, each medium as its caption."""
    template = TEMPLATES["nano"]
    for turn in dialogue.turns:
        heard = "".join(say_in_words(say) for say in turn.user)
        said = "".join(say_in_words(say) for say in turn.assistant)
        yield Speech(
            template.user_prefix + heard + template.user_suffix + template.assistant_prefix, is_answer=False
        )
        yield Speech(said + template.end_of_turn, is_answer=True)


def say_in_words(say: str | MediaPart) -> str:
    """Words as they are, a medium as its caption between markers."""
    if isinstance(say, str):
        return say
    edit = EDIT if say.is_edit else ""
    return f"{edit}<|{say.modality}|>{canonical_caption(say.spec)}{CLOSE}"


@dataclass(frozen=True)
class Corpus:
    """Tokenized dialogues, sorted by length so that a batch of neighbours needs little padding."""

    ids: list[np.ndarray]
    is_answer: list[np.ndarray]

    @classmethod
    def of(
        cls, dialogues: Iterator[Dialogue], tokenizer: PreTrainedTokenizerFast, context_length: int
    ) -> Corpus:
        """Tokenize dialogues; those that do not fit the context are left out."""
        rows = []
        for speeches in map(list, map(in_words, dialogues)):
            # One call for all pieces of a dialogue takes half the time of one each.
            pieces = tokenizer([speech.text for speech in speeches], add_special_tokens=False)["input_ids"]
            ids = np.concatenate([np.asarray(piece, dtype=np.int32) for piece in pieces])
            answers = np.concatenate(
                [np.full(len(piece), s.is_answer) for piece, s in zip(pieces, speeches, strict=True)]
            )
            if len(ids) <= context_length:
                rows.append((ids, answers))
        rows.sort(key=lambda row: len(row[0]))
        return cls([ids for ids, _ in rows], [answers for _, answers in rows])

    def draw(self, rng: np.random.Generator, tokens: int) -> tuple[Tensor, Tensor]:
        """Neighbours that fill about ``tokens`` positions: ids and loss weights, (B, T) each, padded at the right."""
        first = int(rng.integers(len(self.ids)))
        size = max(1, tokens // len(self.ids[first]))
        chosen = range(max(0, min(first, len(self.ids) - size)), min(first + size, len(self.ids)))
        length = max(len(self.ids[i]) for i in chosen)
        ids = np.zeros((len(chosen), length), dtype=np.int64)
        weights = np.zeros((len(chosen), length), dtype=np.float32)
        for row, i in enumerate(chosen):
            ids[row, : len(self.ids[i])] = self.ids[i]
            weights[row, : len(self.ids[i])] = np.where(self.is_answer[i], 1.0, HEARD_WEIGHT)
        return torch.from_numpy(ids), torch.from_numpy(weights)


def _draw_tasks(
    rng: np.random.Generator, tasks: Mapping[str, float] | None, count: int
) -> Iterator[str | None]:
    """What each of ``count`` dialogues ends in; None: as they come."""
    if tasks is None:
        yield from repeat(None, count)
        return
    shares = np.array([*tasks.values()]) / sum(tasks.values())
    for index in rng.choice(len(shares), size=count, p=shares):
        name = [*tasks][index]
        yield None if name == ANY else name


def pretrain_language_model(
    *,
    vocabulary: int,
    dialogues: int,
    architecture: Mapping[str, Any],
    config: TrainerConfig,
    folder: Path,
    work_folder: Path,
    tasks: Mapping[str, float] | None = None,
    elder: Path | None = None,
    report: Callable[[dict[str, float]], None] | None = None,
) -> None:
    """Train tokenizer and language model from nothing, or go on from ``elder``, and write a transformers folder.

    ``config.batch_size`` counts tokens here.
    """
    torch.manual_seed(config.seed)
    rng = np.random.default_rng(config.seed)
    if elder is None:
        sample = [
            "".join(s.text for s in in_words(sample_dialogue(rng, "train")))
            for _ in range(TOKENIZER_DIALOGUES)
        ]
        tokenizer = train_tokenizer(sample, vocabulary, markers=MARKERS)
        model = LlamaForCausalLM(
            LlamaConfig(
                vocab_size=len(tokenizer),
                bos_token_id=tokenizer.bos_token_id,
                eos_token_id=tokenizer.eos_token_id,
                pad_token_id=tokenizer.pad_token_id,
                **architecture,
            )
        )
    else:
        tokenizer = PreTrainedTokenizerFast.from_pretrained(elder)
        model = LlamaForCausalLM.from_pretrained(elder, dtype=torch.float32)
    if config.compile:
        compile_for_training(model)
    drawn = (sample_dialogue(rng, "train", task=task) for task in _draw_tasks(rng, tasks, dialogues))
    corpus = Corpus.of(drawn, tokenizer, model.config.max_position_embeddings)

    def loss(batch: tuple[Tensor, Tensor], noise: torch.Generator) -> dict[str, Tensor]:
        ids, weights = batch
        with float32_attention():
            logits = model(input_ids=ids, use_cache=False).logits[:, :-1].float()
        each = F.cross_entropy(logits.flatten(0, 1), ids[:, 1:].flatten(), reduction="none")
        weight = weights[:, 1:].flatten()
        answers = each[weight == 1].mean()
        return {"loss": (each * weight).sum() / weight.sum(), "answers": answers}

    fit({"language_model": model}, corpus.draw, loss, config, work_folder, report=report)
    model.to(torch.bfloat16).save_pretrained(folder)
    if elder is None:
        tokenizer.save_pretrained(folder)
