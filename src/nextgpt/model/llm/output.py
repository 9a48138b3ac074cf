"""Output of the language model: text, and hidden states for each medium to synthesize."""

from __future__ import annotations

from dataclasses import dataclass, field

from jaxtyping import Float
from torch import Tensor


@dataclass(frozen=True)
class TextSegment:
    """Text between two media."""

    text: str


@dataclass(frozen=True, eq=False)
class MediumSegment:
    """A medium to synthesize at this place of the reply."""

    modality: str
    hidden_states: Float[Tensor, "S D"] = field(repr=False)
    """Last-layer hidden states at the signal tokens."""
    is_edit: bool
    """True if synthesis starts from the last medium of the modality."""


Segment = TextSegment | MediumSegment


@dataclass(frozen=True, eq=False)
class LLMOutput:
    """Complete reply of the language model, before synthesis."""

    segments: tuple[Segment, ...]
    """Text and media in output order."""
    token_ids: tuple[int, ...]
    """All generated tokens, including signal tokens, without the end of the turn."""
    dropped: tuple[str, ...] = ()
    """Descriptions of media that exceeded the token limit."""
