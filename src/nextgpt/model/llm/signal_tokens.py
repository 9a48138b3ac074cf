"""Signal tokens: how the language model says that a medium stands here.

Their ids start where the LLM's vocabulary ends and the tokenizer does not know them, so no text can become one.
Their rows live beside the frozen LLM, so that training them leaves every other row as it is.
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
"""How the edit token is called beside the names of modalities."""


@dataclass(frozen=True)
class SignalSpan:
    """Where a run of signal tokens stands in a sequence of ids."""

    modality: str
    start: int
    """Position of the first signal token; the edit token, where there is one, stands just before."""
    stop: int
    """One after the last signal token."""
    is_edit: bool


@dataclass(frozen=True)
class SignalVocabulary:
    """The ids of the signal tokens, in the order of the table of modalities, then that of the edit token.

    With a vocabulary of 2048: image 2048-2051, audio 2052-2059, video 2060-2083, edit 2084.
    """

    offset: int
    """The LLM's vocabulary size."""

    @property
    def edit(self) -> int:
        """The id of the edit token."""
        return self.offset + sum(modality.signal_count for modality in MODALITIES.values())

    @property
    def names(self) -> tuple[str, ...]:
        """How the tokens are written, in the order of their ids."""
        return (*(token for modality in MODALITIES.values() for token in modality.signal_tokens), EDIT_TOKEN)

    def __len__(self) -> int:
        return self.edit + 1 - self.offset

    def span_ids(self, modality: str) -> tuple[int, ...]:
        """All signal tokens of a modality, in order."""
        start = self.offset
        for row in MODALITIES.values():
            if row.name == modality:
                return tuple(range(start, start + row.signal_count))
            start += row.signal_count
        raise KeyError(modality)

    def modality_started_by(self, token_id: int) -> str | None:
        """The modality whose first signal token this is."""
        return next((name for name in MODALITIES if self.span_ids(name)[0] == token_id), None)

    def spans(self, ids: Sequence[int]) -> list[SignalSpan]:
        """The runs in a sequence of ids; runs are always whole."""
        found = []
        for position, token_id in enumerate(ids):
            modality = self.modality_started_by(token_id) if token_id >= self.offset else None
            if modality is not None:
                is_edit = position > 0 and ids[position - 1] == self.edit
                found.append(SignalSpan(modality, position, position + len(self.span_ids(modality)), is_edit))
        return found


class SignalEmbeddings(nn.Module):
    """Trainable rows of the signal tokens: ``input`` as the LLM hears them, ``output`` to choose them."""

    def __init__(self, vocabulary: SignalVocabulary, width: int) -> None:
        super().__init__()
        self.vocabulary = vocabulary
        self.input = nn.Parameter(torch.randn(len(vocabulary), width) * 0.02)
        self.output = nn.Parameter(torch.zeros(len(vocabulary), width))

    @torch.no_grad()
    def init_from_mean(self, input_rows: Float[Tensor, "V D"], output_rows: Float[Tensor, "V D"]) -> None:
        """Start at the mean of the LLM's own rows (the official repository's way), inputs spread a little apart."""
        spread = input_rows.std(dim=0) * torch.randn_like(self.input)
        self.input.copy_(input_rows.mean(dim=0) + 0.5 * spread)
        self.output.copy_(output_rows.mean(dim=0).expand_as(self.output))

    @torch.no_grad()
    def init_span_from_token(
        self,
        name: str,
        input_row: Float[Tensor, " D"],
        output_row: Float[Tensor, " D"],
        input_mean: Float[Tensor, " D"],
    ) -> None:
        """Start a modality's run, or ``edit``, at one of the LLM's own tokens, one that says the same to it.

        The run is then chosen where that token would be; its later tokens keep their own spread around the row.
        """
        run = (self.vocabulary.edit,) if name == EDIT else self.vocabulary.span_ids(name)
        first, last = run[0] - self.vocabulary.offset, run[-1] - self.vocabulary.offset
        self.input[first : last + 1] += input_row - input_mean
        self.input[first] = input_row
        self.output[first] = output_row

    @torch.no_grad()
    def init_span_end_from_token(self, input_row: Float[Tensor, " D"]) -> None:
        """Start the last token of each run at one of the LLM's own, behind which it goes on as it shall behind a run.

        What follows a medium is then known from the first step, and need not be learned through that row alone.
        """
        for modality in MODALITIES:
            self.input[self.vocabulary.span_ids(modality)[-1] - self.vocabulary.offset] = input_row

    def span_embeddings(self, modality: str) -> Float[Tensor, "S D"]:
        """The input rows of a modality's run."""
        run = self.vocabulary.span_ids(modality)
        return self.input[run[0] - self.vocabulary.offset : run[-1] + 1 - self.vocabulary.offset]

    def embed(self, ids: Int[Tensor, " n"]) -> Float[Tensor, "n D"]:
        """Input rows of signal ids."""
        return F.embedding(ids - self.vocabulary.offset, self.input)

    def logits(self, hidden: Float[Tensor, "*B D"]) -> Float[Tensor, "*B n"]:
        """How likely each signal token is next."""
        return hidden @ self.output.to(hidden.dtype).T
