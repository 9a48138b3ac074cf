"""Constrained decoding of signal tokens: complete spans, edits only with a source, allowed modalities only.

The constraints prevent invalid outputs instead of repairing them: a span never starts in its middle, and an edit never
lacks a source.
"""

from __future__ import annotations

from collections.abc import Collection

import torch
from jaxtyping import Float
from torch import Tensor

from nextgpt.modality import MODALITIES
from nextgpt.model.llm.json_constraint import JsonConstraint
from nextgpt.model.llm.signal_tokens import SignalVocabulary

MAX_MEDIA = 8
"""Maximum media per reply. Bounds the synthesis time of a model that loops over signal tokens."""


class TokenGrammar:
    """State of the constraints for one reply.

    Args:
        signals: Ids of the signal tokens.
        end_ids: Tokens that end a reply.
        suppressed_ids: Tokens that are never generated, such as the template's special tokens.
        modalities: Allowed output modalities, including ``text``.
        editable: Modalities with at least one medium in the conversation.
        json_constraint: Holds the text to a schema; then ``modalities`` is text alone.
    """

    def __init__(
        self,
        signals: SignalVocabulary,
        *,
        end_ids: Collection[int],
        suppressed_ids: Collection[int],
        modalities: Collection[str],
        editable: Collection[str],
        json_constraint: JsonConstraint | None = None,
    ) -> None:
        self._json_constraint = json_constraint
        self._signals = signals
        self._end_ids = list(end_ids)
        self._suppressed_ids = list(set(suppressed_ids) - set(end_ids))
        self._allows_text = "text" in modalities
        self._modalities = [name for name in MODALITIES if name in modalities]
        self._editable = set(editable)
        self._is_editing = False
        self._num_media = 0
        self._mask_cache: dict[tuple[bool, bool, tuple[int, ...]], Tensor] = {}
        """Masks by state: there are few states, and a mask is needed for every token."""

    def mask(self, logits: Float[Tensor, " Vn"]) -> Float[Tensor, " Vn"]:
        """Return the mask to add to ``logits``: 0 for allowed next tokens, minus infinity otherwise."""
        state = (self._is_editing, self._may_end, tuple(self._allowed_signals()))
        if state not in self._mask_cache:
            self._mask_cache[state] = self._build_mask(torch.full_like(logits, -torch.inf), *state)
        mask = self._mask_cache[state]
        return mask if self._json_constraint is None else mask + self._json_constraint.mask(logits)

    def _build_mask(
        self, mask: Float[Tensor, " Vn"], is_editing: bool, may_end: bool, signals: tuple[int, ...]
    ) -> Float[Tensor, " Vn"]:
        if self._allows_text and not is_editing:
            mask[: self._signals.offset] = 0
            mask[self._suppressed_ids] = -torch.inf
        if may_end:
            mask[self._end_ids] = 0
        mask[list(signals)] = 0
        return mask

    def accept(self, token_id: int) -> None:
        """Advance the state by one generated token; a span counts by its first token."""
        if self._json_constraint is not None:
            self._json_constraint.accept(token_id)
        self._is_editing = token_id == self._signals.edit
        modality = self._signals.modality_started_by(token_id)
        if modality is not None:
            self._num_media += 1
            self._editable.add(modality)

    @property
    def _may_end(self) -> bool:
        if self._is_editing:
            return False
        return self._allows_text or self._num_media > 0 or not self._allowed_signals()

    def _allowed_signals(self) -> list[int]:
        if self._num_media >= MAX_MEDIA:
            return []
        editable = [name for name in self._modalities if name in self._editable]
        allowed = editable if self._is_editing else self._modalities
        edit = [self._signals.edit] if editable and not self._is_editing else []
        return [self._signals.span_ids(name)[0] for name in allowed] + edit
