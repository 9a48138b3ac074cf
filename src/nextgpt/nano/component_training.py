"""Training of one component: batches drawn from a generator that is seeded by the step."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from nextgpt.errors import ConfigError
from nextgpt.train.distributed import DistributedContext
from nextgpt.train.logging import MetricsCallback
from nextgpt.train.recipe import BaseRecipe
from nextgpt.train.trainer import Callbacks, Objective, train


@dataclass(frozen=True)
class DrawnBatch:
    """A batch that was drawn at random."""

    data: Any
    keys: tuple[str, ...]
    """Its seed, for error messages."""

    def split(self, size: int) -> Sequence[Any]:
        """Raise :class:`ConfigError`: only alignments have micro-batches."""
        raise ConfigError("engine.micro_batch_size is set; expected it in alignments alone. Remove it.")


def train_component(
    recipe: BaseRecipe,
    objective: Objective,
    draw_batch: Callable[[np.random.Generator, int], Any],
    on_metrics: MetricsCallback | None,
) -> bool:
    """Train the trainable parameters of ``objective`` in one process; return False if SIGTERM stopped the run.

    Args:
        objective: ``DrawnBatch -> losses``.
        draw_batch: ``(rng, batch size) -> data``, a function of the generator alone.
    """
    context = DistributedContext()
    if context.world_size > 1:
        raise ConfigError(
            f"The recipe kind {recipe.kind} runs in one process; got {context.world_size}. Start it with nextgpt train."
        )

    def batches(first_step: int) -> Iterator[DrawnBatch]:
        for step in range(first_step, recipe.fit.max_steps):
            seed = [recipe.fit.seed, step]
            data = draw_batch(np.random.default_rng(seed), recipe.fit.batch_size)
            yield DrawnBatch(data, (f"batch seed {seed}",))

    callbacks = Callbacks(on_metrics=on_metrics, settings=recipe.model_dump(mode="json"))
    return train(
        objective, batches, recipe.fit, recipe.work, engine=recipe.engine, context=context, callbacks=callbacks
    )
