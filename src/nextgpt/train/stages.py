"""The three training stages of the paper (section 4) as data: trainable modules and losses."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal, get_args

from nextgpt.errors import ConfigError

StageName = Literal["encoding-alignment", "decoding-alignment", "instruction-tuning"]
TrainableModule = Literal["input_projection", "output_projections", "signal_tokens", "lora"]
Distance = Literal["mse", "l2", "cosine"]
"""A loss between predicted conditions and caption embeddings; see :data:`nextgpt.train.losses.CONDITION_DISTANCES`."""
Loss = Literal["cross_entropy", Distance, "denoising"]
DISTANCES: tuple[Distance, ...] = get_args(Distance)
"""All values of :data:`Distance`."""


@dataclass(frozen=True)
class Stage:
    """A training stage. Modules that it does not name stay frozen, bit for bit."""

    name: StageName
    trainable: frozenset[TrainableModule]
    loss_weights: Mapping[Loss, float]
    """``cross_entropy``: next-token loss on the assistant's tokens. Distances: predicted conditions to caption
    embeddings. ``denoising``: error of the frozen denoiser under the predicted conditions."""

    @property
    def distances(self) -> tuple[Distance, ...]:
        """Return the condition distances among the losses."""
        return tuple(name for name in DISTANCES if name in self.loss_weights)


ENCODING_ALIGNMENT = Stage("encoding-alignment", frozenset({"input_projection"}), {"cross_entropy": 1.0})
DECODING_ALIGNMENT = Stage(
    "decoding-alignment", frozenset({"output_projections", "signal_tokens"}), {"cross_entropy": 1.0, "mse": 1.0}
)
INSTRUCTION_TUNING = Stage(
    "instruction-tuning",
    frozenset({"lora", "input_projection", "output_projections", "signal_tokens"}),
    {"cross_entropy": 1.0, "mse": 1.0},
)
STAGES = {stage.name: stage for stage in (ENCODING_ALIGNMENT, DECODING_ALIGNMENT, INSTRUCTION_TUNING)}


def get_stage(name: StageName, loss_weights: Mapping[Loss, float] | None = None) -> Stage:
    """Return a stage by name, with other losses if given.

    Raises:
        ConfigError: A loss has no trainable module of the stage behind it.
    """
    stage = STAGES[name]
    if loss_weights is None:
        return stage
    has_conditions = "output_projections" in stage.trainable
    unused = [] if has_conditions else [loss for loss in loss_weights if loss != "cross_entropy"]
    if unused or not loss_weights:
        accepted = "at least one loss" if has_conditions else "cross_entropy alone"
        raise ConfigError(
            f"losses names {', '.join(unused) or 'none'}; expected {accepted}, as {name} trains "
            f"{', '.join(sorted(stage.trainable))}. Correct it, or remove losses."
        )
    return replace(stage, loss_weights=dict(loss_weights))
