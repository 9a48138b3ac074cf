"""The three trainings of the paper as data: what each trains and which losses it minds (paper, section 4)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Trained = Literal["input_projection", "output_projections", "signal_tokens", "lora"]
Loss = Literal["words", "conditions"]


@dataclass(frozen=True)
class Stage:
    """One training. Everything that it does not name stays frozen, bit for bit."""

    name: str
    trains: frozenset[Trained]
    losses: frozenset[Loss]
    """``words``: cross-entropy of what the assistant says. ``conditions``: distance to the caption's embedding."""


ENCODING_ALIGNMENT = Stage("encoding-alignment", frozenset({"input_projection"}), frozenset({"words"}))
DECODING_ALIGNMENT = Stage(
    "decoding-alignment", frozenset({"output_projections", "signal_tokens"}), frozenset({"words", "conditions"})
)
INSTRUCTION_TUNING = Stage(
    "instruction-tuning",
    frozenset({"lora", "input_projection", "output_projections", "signal_tokens"}),
    frozenset({"words", "conditions"}),
)

STAGES = {stage.name: stage for stage in (ENCODING_ALIGNMENT, DECODING_ALIGNMENT, INSTRUCTION_TUNING)}
