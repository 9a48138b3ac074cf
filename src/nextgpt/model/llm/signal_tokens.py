"""Signal tokens, with which the language model places media in its output.

Their ids start at the end of the LLM's vocabulary and are unknown to the tokenizer, so no text can become one. Their
embeddings are separate from the frozen LLM, so training them leaves all other embeddings unchanged.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from nextgpt.modality import EDIT_TOKEN, MODALITIES

EDIT = "edit"
"""Name of the edit token, besides the names of modalities."""


@dataclass(frozen=True)
class SignalSpan:
    """Position of a span of signal tokens in a sequence of ids."""

    modality: str
    start: int
    """Position of the first signal token; an edit token is directly before it."""
    stop: int
    """Position after the last signal token."""
    is_edit: bool


@dataclass(frozen=True)
class SignalVocabulary:
    """Ids of the signal tokens, in the order of the modalities, then of the edit token.

    With an offset of 2048: image 2048-2051, audio 2052-2059, video 2060-2083, edit 2084.
    """

    offset: int
    """Vocabulary size of the LLM."""
    separator: int | None = None
    """Token of the LLM between the signal tokens of a span, as in the official code of 2024."""

    @property
    def edit(self) -> int:
        """Id of the edit token."""
        return self.offset + sum(modality.signal_count for modality in MODALITIES.values())

    @property
    def names(self) -> tuple[str, ...]:
        """Written forms of the tokens, in the order of their ids."""
        return (*(token for modality in MODALITIES.values() for token in modality.signal_tokens), EDIT_TOKEN)

    def __len__(self) -> int:
        return self.edit + 1 - self.offset

    def span_ids(self, modality: str) -> tuple[int, ...]:
        """Return all signal tokens of a modality, in order."""
        start = self.offset
        for row in MODALITIES.values():
            if row.name == modality:
                return tuple(range(start, start + row.signal_count))
            start += row.signal_count
        raise KeyError(modality)

    def span_sequence(self, modality: str) -> tuple[int, ...]:
        """Return the ids of a span in a sequence: N signal tokens, or 2N - 1 ids with separators."""
        if self.separator is None:
            return self.span_ids(modality)
        first, *rest = self.span_ids(modality)
        return (first, *(token_id for signal in rest for token_id in (self.separator, signal)))

    def modality_started_by(self, token_id: int) -> str | None:
        """Return the modality whose first signal token this is."""
        return next((name for name in MODALITIES if self.span_ids(name)[0] == token_id), None)

    def spans(self, ids: Sequence[int]) -> list[SignalSpan]:
        """Return the spans in a sequence of ids; spans are always complete."""
        spans = []
        for position, token_id in enumerate(ids):
            modality = self.modality_started_by(token_id) if token_id >= self.offset else None
            if modality is not None:
                is_edit = position > 0 and ids[position - 1] == self.edit
                stop = position + len(self.span_sequence(modality))
                spans.append(SignalSpan(modality, position, stop, is_edit))
        return spans


class SignalEmbeddings(nn.Module):
    """Trainable embeddings of the signal tokens: ``input`` for the LLM's input, ``output`` for its head."""

    def __init__(self, vocabulary: SignalVocabulary, width: int) -> None:
        super().__init__()
        self.vocabulary = vocabulary
        self.input = nn.Parameter(torch.randn(len(vocabulary), width) * 0.02)
        self.output = nn.Parameter(torch.zeros(len(vocabulary), width))

    @torch.no_grad()
    def init_from_mean(self, input_rows: Float[Tensor, "V D"], output_rows: Float[Tensor, "V D"]) -> None:
        """Initialize with the mean of the LLM's embeddings, as the official code; inputs get noise added."""
        noise = input_rows.std(dim=0) * torch.randn_like(self.input)
        self.input.copy_(input_rows.mean(dim=0) + 0.5 * noise)
        self.output.copy_(output_rows.mean(dim=0).expand_as(self.output))

    @torch.no_grad()
    def init_span_from_token(
        self,
        name: str,
        input_row: Float[Tensor, " D"],
        output_row: Float[Tensor, " D"],
        input_mean: Float[Tensor, " D"],
    ) -> None:
        """Initialize a modality's span, or ``edit``, from a token of the LLM with the same meaning.

        The span then starts where that token would be predicted. Later tokens keep their own offsets around the row.
        """
        ids = (self.vocabulary.edit,) if name == EDIT else self.vocabulary.span_ids(name)
        first, last = ids[0] - self.vocabulary.offset, ids[-1] - self.vocabulary.offset
        self.input[first : last + 1] += input_row - input_mean
        self.input[first] = input_row
        self.output[first] = output_row

    @torch.no_grad()
    def init_span_end_from_token(self, input_row: Float[Tensor, " D"]) -> None:
        """Initialize the last token of each span from a token that ends a medium.

        The LLM then continues after a span as after that token, without learning it through this one row.
        """
        for modality in MODALITIES:
            self.input[self.vocabulary.span_ids(modality)[-1] - self.vocabulary.offset] = input_row

    def span_embeddings(self, modality: str) -> Float[Tensor, "S D"]:
        """Return the input embeddings of a modality's span."""
        ids = self.vocabulary.span_ids(modality)
        return self.input[ids[0] - self.vocabulary.offset : ids[-1] + 1 - self.vocabulary.offset]

    def embed(self, ids: Int[Tensor, " n"]) -> Float[Tensor, "n D"]:
        """Return the input embeddings of signal-token ids."""
        return F.embedding(ids - self.vocabulary.offset, self.input)

    def logits(self, hidden: Float[Tensor, "*B D"]) -> Float[Tensor, "*B n"]:
        """Return the logits of all signal tokens."""
        return hidden @ self.output.to(hidden.dtype).T
