"""A plain trainer as a reference: the stages of the paper (section 4), without optimization.

At every step media are read and encoded, and captions pass through the synthesizers' text encoders. Batches are drawn
at random and padded to ``pad_to`` positions, or to the longest example. As in the published code, the LLM's whole
embedding and head are trained too; every position has a gradient and logits. Losses, data and precision are those of
the recipe.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nextgpt.data.record import Dialogue
from nextgpt.model.llm.language_model import NO_TOKEN_ID
from nextgpt.model.nextgpt import NextGPT
from nextgpt.train.align import build_example_prompt
from nextgpt.train.alignment_recipe import AlignmentRecipe, load_sources
from nextgpt.train.dataset import example_of
from nextgpt.train.frozen_encoders import lazy_prompt_encoders
from nextgpt.train.initial_model import load_initial_model, set_trainable
from nextgpt.train.losses import first_signal_ids
from nextgpt.train.stages import STAGES
from nextgpt.train.trainer import lr_scale_at


class PlainTrainer:
    """Trains one stage, one step per call."""

    def __init__(self, recipe: AlignmentRecipe, *, pad_to: int | None = None) -> None:
        self.recipe, self.stage, self.pad_to = recipe, STAGES[recipe.stage], pad_to
        self.model: NextGPT = load_initial_model(recipe)
        set_trainable(self.model, self.stage, recipe.lora)
        self.model.llm.signals.requires_grad_(False)  # their rows are among those of the embedding and the head
        llm, signals = self.model.llm, self.model.llm.signals
        text_weights, head = (
            llm.transformer.get_input_embeddings().weight,
            llm.transformer.get_output_embeddings().weight,
        )
        self.embedding = nn.Parameter(torch.cat([text_weights, signals.input]).detach())
        self.head = nn.Parameter(torch.cat([head, signals.output]).detach())
        self.trained = [p for p in self.model.parameters() if p.requires_grad] + [self.embedding, self.head]
        self.optimizer = torch.optim.AdamW(
            self.trained, lr=recipe.fit.learning_rate, betas=(0.9, 0.95), weight_decay=recipe.fit.weight_decay
        )
        self.sources = load_sources(recipe)
        self.prompt_encoders = lazy_prompt_encoders(self.model, recipe.model_dir)
        self.done = 0

    def step(self) -> dict[str, float]:
        """Train on one random batch and return its losses."""
        with torch.autocast("cpu", torch.bfloat16, enabled=self.recipe.fit.bf16):
            losses = self.losses(self.draw(self.done))
        sum(losses.values()).backward()
        nn.utils.clip_grad_norm_(self.trained, self.recipe.fit.max_grad_norm)
        for group in self.optimizer.param_groups:
            group["lr"] = self.recipe.fit.learning_rate * lr_scale_at(self.done, self.recipe.fit)
        self.optimizer.step()
        self.optimizer.zero_grad()
        self.done += 1
        return {name: float(value.detach()) for name, value in losses.items()}

    def draw(self, step: int) -> list[Dialogue]:
        """Draw a batch from one source, as published."""
        rng = np.random.default_rng([self.recipe.fit.seed, step])
        weights = np.array([source.weight for source in self.sources])
        source = self.sources[int(rng.choice(len(self.sources), p=weights / weights.sum()))]
        return [source.dialogue(int(rng.integers(len(source)))) for _ in range(self.recipe.fit.batch_size)]

    def losses(self, dialogues: Sequence[Dialogue], *, by_place: bool = False) -> dict[str, Tensor]:
        """Return each loss of the stage as a mean; ``by_place`` splits the text loss at the first medium."""
        media = [medium.open() for dialogue in dialogues for medium in dialogue.input_media]
        with torch.no_grad():
            features = self.model.encoder.encode(media) if media else []
        soft = iter(self.model.input_projection(features, [medium.modality for medium in media]))
        rows = [self._row(dialogue, soft) for dialogue in dialogues]
        length = self.pad_to or max(len(ids) for _, ids, _ in rows)
        embedded, ids, in_loss = (
            torch.stack([F.pad(row[part], (0,) * (2 * row[part].ndim - 1) + (length - len(row[part]),), value=fill)
                         for row in rows])
            for part, fill in enumerate((0.0, NO_TOKEN_ID, False))
        )  # fmt: skip
        mask = torch.stack([torch.arange(length) < len(row_ids) for _, row_ids, _ in rows])
        hidden = self.model.llm.transformer.base_model(
            inputs_embeds=embedded, attention_mask=mask.long(), use_cache=False
        ).last_hidden_state  # (B, T, D)
        logits = hidden @ self.head.T  # (B, T, V + signals)
        losses = self._text_losses(logits, ids, in_loss, by_place)
        has_conditions = "output_projections" in self.stage.trainable
        return losses | self._conditions(hidden, ids, dialogues) if has_conditions else losses

    def _row(self, dialogue: Dialogue, soft: Iterator[Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        """Return embeddings, token ids and loss mask of a dialogue."""
        llm = self.model.llm
        rows, ids, targets = [], [], []
        for piece in build_example_prompt(self.model, None, example_of(dialogue, None)).pieces:
            is_words = hasattr(piece, "ids")
            found = torch.tensor(piece.ids if is_words else [NO_TOKEN_ID] * llm.soft_tokens)
            rows.append(F.embedding(found, self.embedding) if is_words else next(soft))
            ids.append(found)
            targets.append(torch.full_like(found, is_words and piece.in_loss, dtype=torch.bool))
        return torch.cat(rows), torch.cat(ids), torch.cat(targets)

    def _text_losses(self, logits: Tensor, ids: Tensor, in_loss: Tensor, by_place: bool) -> dict[str, Tensor]:
        """Return the cross-entropy of the assistant's text and of the first signal token of each span."""
        offset, first_signals = (self.model.llm.signals.vocabulary.offset, torch.tensor(first_signal_ids(self.model)))
        is_target = in_loss & ((ids < offset) | torch.isin(ids, first_signals))
        is_before = (ids >= offset).cumsum(dim=1) == 0
        places = {"cross_entropy": is_target}
        if by_place:
            places = {
                "text before the first medium": is_target & is_before,
                "text from the first medium on": is_target & ~is_before,
            }
        return {
            name: F.cross_entropy(logits[:, :-1].flatten(0, 1).float(), ids.masked_fill(~chosen, -100)[:, 1:].flatten())
            for name, chosen in places.items()
        }

    def _conditions(self, hidden: Tensor, ids: Tensor, dialogues: Sequence[Dialogue]) -> dict[str, Tensor]:
        """Return the distance between conditions and caption embeddings by modality."""
        signals, spans, captions = self.model.llm.signals.vocabulary, {}, {}
        for row, dialogue in enumerate(dialogues):
            for span, medium in zip(signals.spans(ids[row].tolist()), dialogue.output_media, strict=True):
                spans.setdefault(span.modality, []).append(hidden[row, span.start : span.stop])
                captions.setdefault(span.modality, []).append(medium.caption)
        losses = {}
        for modality, span_states in spans.items():
            targets = self.prompt_encoders[modality](captions[modality]).clone()
            rows = self.embedding[torch.tensor(signals.span_ids(modality))]
            conditions = self.model.output_projections[modality](torch.stack(span_states), rows)
            losses[modality] = (conditions - targets).square().mean()
        return losses
