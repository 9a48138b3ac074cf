"""Last step, for many at once: all media that several thoughts ask for, alike ones side by side.

An edit of a medium that the same answer makes waits for it. Knows no language model; conditions are ready.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial

import torch
from jaxtyping import Float
from torch import Tensor

from nextgpt.message import Medium, Progress
from nextgpt.model.at_once import at_once
from nextgpt.model.clock import Clock
from nextgpt.model.synthesis.base import Synthesizer

Place = tuple[int, int]
"""Which answer, and which of its segments; places of one answer sort in speaking order."""


@dataclass(frozen=True, eq=False)
class Order:
    """One medium to be made."""

    place: Place
    modality: str
    condition: Float[Tensor, "Q C"]
    seed: int
    steps: int | None = None
    """``None``: the synthesizer's own default, here and below."""
    guidance: float | None = None
    source: Medium | Place | None = None
    """What an edit starts from: a medium, or the place of one that is yet to be made."""


LIGHT_STEP_MACS = 2.5e9
"""A denoising step of less, for all media of a modality, leaves cores idle between its layers; more fills them, and is
done sooner in turn. ``benchmarks/at_once.py`` finds where."""


def render(
    orders: Sequence[Order],
    synthesizer: Callable[[str], Synthesizer],
    *,
    has_previews: bool = False,
    threads: int = 1,
    clock: Clock | None = None,
) -> Iterator[tuple[Place, Progress | Medium]]:
    """Make all that was ordered; yield every step, and every medium when it is done.

    Args:
        threads: Of torch. Where there are several, media of several modalities that take little are made at once, on
            a share of the threads each; otherwise one kind after the other. Synthesizers that take turns in memory
            allow one alone. The number of threads changes how sums are rounded, and nothing else.
        clock: Is told the seconds that each modality took, which overlap where they are made at once.
    """
    clock = clock or Clock()
    made: dict[Place, Medium] = {}
    waiting = list(orders)
    while waiting:
        ready = [order for order in waiting if not isinstance(order.source, tuple) or order.source in made]
        assert ready, "an edit waits for an earlier medium of the same answer, never in a circle"
        parts = {
            order.modality: [other for other in ready if other.modality == order.modality] for order in ready
        }
        is_shared = threads > 1 and len(parts) > 1
        if is_shared:
            macs = {name: len(part) * synthesizer(name).step_macs for name, part in parts.items()}
            parts = dict(
                sorted(parts.items(), key=lambda part: -macs[part[0]])
            )  # what takes longest begins first
            is_shared = max(macs.values()) < LIGHT_STEP_MACS and all(
                synthesizer(name).device.type == "cpu" for name in parts
            )
        works = [
            partial(_render_modality, part, synthesizer, made, has_previews, clock) for part in parts.values()
        ]
        with closing(at_once(works, threads if is_shared else 1)) as events:
            for place, event in events:
                if not isinstance(event, Progress):
                    made[place] = event
                yield place, event
        waiting = [order for order in waiting if order.place not in made]


def _render_modality(
    orders: Sequence[Order],
    synthesizers: Callable[[str], Synthesizer],
    made: Mapping[Place, Medium],
    has_previews: bool,
    clock: Clock,
) -> Iterator[tuple[Place, Progress | Medium]]:
    """One kind after the other; orders of one kind are made side by side."""
    kinds: dict[tuple[object, ...], list[Order]] = {}
    for order in orders:
        kinds.setdefault((order.steps, order.guidance, order.source is None), []).append(order)
    for alike in kinds.values():
        events = _render_alike(alike, synthesizers, made, has_previews)
        yield from clock.each(events, lambda _: orders[0].modality)


def _render_alike(
    orders: Sequence[Order],
    synthesizers: Callable[[str], Synthesizer],
    made: Mapping[Place, Medium],
    has_previews: bool,
) -> Iterator[tuple[Place, Progress | Medium]]:
    first = orders[0]
    synthesizer = synthesizers(first.modality)
    sources = [made[order.source] if isinstance(order.source, tuple) else order.source for order in orders]
    for step in synthesizer.steps(
        torch.stack([order.condition for order in orders]),  # (B, Q, C)
        seeds=[order.seed for order in orders],
        num_steps=first.steps,
        guidance=first.guidance,
        source=None if first.source is None else sources,
    ):
        previews = synthesizer.preview(step.denoised) if has_previews else [None] * len(orders)
        for order, preview in zip(orders, previews, strict=True):
            yield order.place, Progress(order.modality, step.index, step.total, preview)
    for order, medium in zip(orders, synthesizer.decode(step.latents), strict=True):
        yield order.place, medium
