"""What the language model has to say: words, and hidden states where it wants a medium to stand."""

from __future__ import annotations

from dataclasses import dataclass, field

from jaxtyping import Float
from torch import Tensor


@dataclass(frozen=True)
class TextSegment:
    """Words between two media."""

    text: str


@dataclass(frozen=True, eq=False)
class MediumSegment:
    """A medium that the model wants to stand here."""

    modality: str
    hidden_states: Float[Tensor, "S D"] = field(repr=False)
    """Last-layer hidden states at the signal tokens, as they were heard."""
    is_edit: bool
    """Synthesis is to start from the last medium of that modality."""


Segment = TextSegment | MediumSegment


@dataclass(frozen=True, eq=False)
class LLMOutput:
    """One whole answer of the language model, before anything is synthesized."""

    segments: tuple[Segment, ...]
    """In speaking order."""
    token_ids: tuple[int, ...]
    """Everything that was said, signal tokens included, the end of the turn left out."""
    dropped: tuple[str, ...] = ()
    """What the model began and could not finish, in words."""
