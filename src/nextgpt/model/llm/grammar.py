"""What may be said next: whole runs of signal tokens, edits only of what there is, and what the caller allows.

The model's own slips become impossible here, instead of errors later: a run is never begun in its middle, an edit is
never asked for without a source.
"""

from __future__ import annotations

from collections.abc import Collection

import torch
from jaxtyping import Float
from torch import Tensor

from nextgpt.modality import MODALITIES
from nextgpt.model.llm.signal_tokens import SignalVocabulary

MAX_MEDIA = 8
"""Media in one answer; a model that loops over signal tokens ends here and not after minutes of synthesis."""


class TokenGrammar:
    """The rules of one answer while it is spoken.

    Args:
        signals: The ids of the signal tokens.
        end_ids: The tokens that end an answer.
        suppressed_ids: TokenSpan that are never said, such as the template's markers.
        modalities: What may be answered, ``text`` included.
        editable: Modalities of which the conversation holds a medium that could be edited.
    """

    def __init__(
        self,
        signals: SignalVocabulary,
        *,
        end_ids: Collection[int],
        suppressed_ids: Collection[int],
        modalities: Collection[str],
        editable: Collection[str],
    ) -> None:
        self._signals = signals
        self._end_ids = list(end_ids)
        self._suppressed_ids = list(set(suppressed_ids) - set(end_ids))
        self._may_write = "text" in modalities
        self._modalities = [name for name in MODALITIES if name in modalities]
        self._editable = set(editable)
        self._is_editing = False
        self._num_media = 0
        self._mask_cache: dict[tuple[bool, bool, tuple[int, ...]], Tensor] = {}
        """By what decides it: there are few, and each is asked for at every token."""

    def mask(self, logits: Float[Tensor, " Vn"]) -> Float[Tensor, " Vn"]:
        """What to add to logits such as these: 0 where a token may be said next, minus infinity elsewhere."""
        state = (self._is_editing, self._may_end, tuple(self._signals_next()))
        if state not in self._mask_cache:
            self._mask_cache[state] = self._build_mask(torch.full_like(logits, -torch.inf), *state)
        return self._mask_cache[state]

    def _build_mask(
        self, barred: Float[Tensor, " Vn"], is_editing: bool, may_end: bool, signals: tuple[int, ...]
    ) -> Float[Tensor, " Vn"]:
        if self._may_write and not is_editing:
            barred[: self._signals.offset] = 0
            barred[self._suppressed_ids] = -torch.inf
        if may_end:
            barred[self._end_ids] = 0
        barred[list(signals)] = 0
        return barred

    def accept(self, token_id: int) -> None:
        """Take note of what was said."""
        self._is_editing = token_id == self._signals.edit
        modality = self._signals.modality_started_by(token_id)
        if modality is not None:
            self._num_media += 1
            self._editable.add(modality)

    @property
    def _may_end(self) -> bool:
        return not self._is_editing and (self._may_write or self._num_media > 0 or not self._signals_next())

    def _signals_next(self) -> list[int]:
        if self._num_media >= MAX_MEDIA:
            return []
        edit_targets = [name for name in self._modalities if name in self._editable]
        speakable = edit_targets if self._is_editing else self._modalities
        edit = [self._signals.edit] if edit_targets and not self._is_editing else []
        return [self._signals.span_ids(name)[0] for name in speakable] + edit
