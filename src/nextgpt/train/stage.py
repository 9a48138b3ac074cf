"""The three trainings of the paper as data: what each trains and which losses it minds (paper, section 4)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

from nextgpt.errors import ConfigError

TrainableModule = Literal["input_projection", "output_projections", "signal_tokens", "lora"]
Distance = Literal["squared", "l2", "cosine"]
Loss = Literal["words", "squared", "l2", "cosine", "denoising"]
DISTANCES: tuple[Distance, ...] = ("squared", "l2", "cosine")
"""Losses between conditions and their captions' embeddings; see :mod:`nextgpt.train.distances`."""


@dataclass(frozen=True)
class Stage:
    """One training. Everything that it does not name stays frozen, bit for bit."""

    name: str
    trainable: frozenset[TrainableModule]
    loss_weights: Mapping[Loss, float]
    """Each with its weight. ``words``: cross-entropy of what the assistant says. A distance: of conditions to their
    captions' embeddings. ``denoising``: what the frozen diffusion model makes of a noisy medium under a condition."""

    @property
    def distances(self) -> tuple[Distance, ...]:
        """The distances among its losses."""
        return tuple(name for name in DISTANCES if name in self.loss_weights)


ENCODING_ALIGNMENT = Stage("encoding-alignment", frozenset({"input_projection"}), {"words": 1.0})
DECODING_ALIGNMENT = Stage(
    "decoding-alignment", frozenset({"output_projections", "signal_tokens"}), {"words": 1.0, "squared": 1.0}
)
INSTRUCTION_TUNING = Stage(
    "instruction-tuning",
    frozenset({"lora", "input_projection", "output_projections", "signal_tokens"}),
    {"words": 1.0, "squared": 1.0},
)

STAGES = {stage.name: stage for stage in (ENCODING_ALIGNMENT, DECODING_ALIGNMENT, INSTRUCTION_TUNING)}


def get_stage(name: str, losses: Mapping[Loss, float] | None = None) -> Stage:
    """A stage by its name, with other losses where some are given.

    Raises:
        ConfigError: nothing that the stage trains has a part in a loss.
    """
    stage = STAGES[name]
    if losses is None:
        return stage
    vain = [] if "output_projections" in stage.trainable else [loss for loss in losses if loss != "words"]
    if vain or not losses:
        raise ConfigError(
            f"losses names {', '.join(vain) or 'none'}; expected {'words alone' if vain else 'at least one'}, as "
            f"{name} trains {', '.join(sorted(stage.trainable))}. Correct it, or leave it out."
        )
    return replace(stage, losses=dict(losses))
