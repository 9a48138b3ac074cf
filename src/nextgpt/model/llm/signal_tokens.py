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
class SignalIds:
    """The ids of the signal tokens, in the order of the table of modalities, then that of the edit token.

    With a vocabulary of 2048: image 2048-2051, audio 2052-2059, video 2060-2083, edit 2084.
    """

    first_id: int
    """The LLM's vocabulary size."""

    @property
    def edit(self) -> int:
        """The id of the edit token."""
        return self.first_id + sum(modality.signal_count for modality in MODALITIES.values())

    @property
    def names(self) -> tuple[str, ...]:
        """How the tokens are written, in the order of their ids."""
        return (*(token for modality in MODALITIES.values() for token in modality.signal_tokens), EDIT_TOKEN)

    def __len__(self) -> int:
        return self.edit + 1 - self.first_id

    def run(self, modality: str) -> tuple[int, ...]:
        """All signal tokens of a modality, in order."""
        start = self.first_id
        for row in MODALITIES.values():
            if row.name == modality:
                return tuple(range(start, start + row.signal_count))
            start += row.signal_count
        raise KeyError(modality)

    def begun_by(self, token_id: int) -> str | None:
        """The modality whose first signal token this is."""
        return next((name for name in MODALITIES if self.run(name)[0] == token_id), None)

    def spans(self, ids: Sequence[int]) -> list[SignalSpan]:
        """The runs in a sequence of ids; runs are always whole."""
        found = []
        for position, token_id in enumerate(ids):
            modality = self.begun_by(token_id) if token_id >= self.first_id else None
            if modality is not None:
                is_edit = position > 0 and ids[position - 1] == self.edit
                found.append(SignalSpan(modality, position, position + len(self.run(modality)), is_edit))
        return found


class SignalTokens(nn.Module):
    """Trainable rows of the signal tokens: ``input`` as the LLM hears them, ``output`` to choose them."""

    def __init__(self, ids: SignalIds, width: int) -> None:
        super().__init__()
        self.ids = ids
        self.input = nn.Parameter(torch.randn(len(ids), width) * 0.02)
        self.output = nn.Parameter(torch.zeros(len(ids), width))

    @torch.no_grad()
    def start_from(self, input_rows: Float[Tensor, "V D"], output_rows: Float[Tensor, "V D"]) -> None:
        """Start at the mean of the LLM's own rows (the official repository's way), inputs spread a little apart."""
        spread = input_rows.std(dim=0) * torch.randn_like(self.input)
        self.input.copy_(input_rows.mean(dim=0) + 0.5 * spread)
        self.output.copy_(output_rows.mean(dim=0).expand_as(self.output))

    @torch.no_grad()
    def begin_at(
        self,
        name: str,
        input_row: Float[Tensor, " D"],
        output_row: Float[Tensor, " D"],
        input_mean: Float[Tensor, " D"],
    ) -> None:
        """Start a modality's run, or ``edit``, at one of the LLM's own tokens, one that says the same to it.

        The run is then chosen where that token would be; its later tokens keep their own spread around the row.
        """
        run = (self.ids.edit,) if name == EDIT else self.ids.run(name)
        first, last = run[0] - self.ids.first_id, run[-1] - self.ids.first_id
        self.input[first : last + 1] += input_row - input_mean
        self.input[first] = input_row
        self.output[first] = output_row

    @torch.no_grad()
    def end_at(self, input_row: Float[Tensor, " D"]) -> None:
        """Start the last token of each run at one of the LLM's own, behind which it goes on as it shall behind a run.

        What follows a medium is then known from the first step, and need not be learned through that row alone.
        """
        for modality in MODALITIES:
            self.input[self.ids.run(modality)[-1] - self.ids.first_id] = input_row

    def rows(self, modality: str) -> Float[Tensor, "S D"]:
        """The input rows of a modality's run."""
        run = self.ids.run(modality)
        return self.input[run[0] - self.ids.first_id : run[-1] + 1 - self.ids.first_id]

    def embed(self, ids: Int[Tensor, " n"]) -> Float[Tensor, "n D"]:
        """Input rows of signal ids."""
        return F.embedding(ids - self.ids.first_id, self.input)

    def logits(self, hidden: Float[Tensor, "*B D"]) -> Float[Tensor, "*B n"]:
        """How likely each signal token is next."""
        return hidden @ self.output.to(hidden.dtype).T
