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

from nextgpt.message import DenoisingProgress, Medium
from nextgpt.model.parallel import interleave_parallel
from nextgpt.model.synthesis.base import Synthesizer
from nextgpt.model.timing import StageTimer

SegmentKey = tuple[int, int]
"""Which answer, and which of its segments; places of one answer sort in speaking order."""


@dataclass(frozen=True, eq=False)
class SynthesisRequest:
    """One medium to be made."""

    key: SegmentKey
    modality: str
    condition: Float[Tensor, "Q C"]
    seed: int
    num_inference_steps: int | None = None
    """``None``: the synthesizer's own default, here and below."""
    guidance_scale: float | None = None
    edit_source: Medium | SegmentKey | None = None
    """What an edit starts from: a medium, or the place of one that is yet to be made."""


PARALLEL_MAX_MACS = 2.5e9
"""A denoising step of less, for all media of a modality, leaves cores idle between its layers; more fills them, and is
done sooner in turn. ``benchmarks/at_once.py`` finds where."""


def synthesize_batch(
    requests: Sequence[SynthesisRequest],
    synthesizer: Callable[[str], Synthesizer],
    *,
    previews: bool = False,
    threads: int = 1,
    timer: StageTimer | None = None,
) -> Iterator[tuple[SegmentKey, DenoisingProgress | Medium]]:
    """Make all that was ordered; yield every step, and every medium when it is done.

    Args:
        threads: Of torch. Where there are several, media of several modalities that take little are made at once, on
            a share of the threads each; otherwise one kind after the other. Synthesizers that take turns in memory
            allow one alone. The number of threads changes how sums are rounded, and nothing else.
        clock: Is told the seconds that each modality took, which overlap where they are made at once.
    """
    timer = timer or StageTimer()
    made: dict[SegmentKey, Medium] = {}
    waiting = list(requests)
    while waiting:
        ready = [
            order
            for order in waiting
            if not isinstance(order.edit_source, tuple) or order.edit_source in made
        ]
        assert ready, "an edit waits for an earlier medium of the same answer, never in a circle"
        parts = {
            order.modality: [other for other in ready if other.modality == order.modality] for order in ready
        }
        is_shared = threads > 1 and len(parts) > 1
        if is_shared:
            macs = {name: len(part) * synthesizer(name).macs_per_step for name, part in parts.items()}
            parts = dict(
                sorted(parts.items(), key=lambda part: -macs[part[0]])
            )  # what takes longest begins first
            is_shared = max(macs.values()) < PARALLEL_MAX_MACS and all(
                synthesizer(name).device.type == "cpu" for name in parts
            )
        works = [
            partial(_synthesize_modality, part, synthesizer, made, previews, timer) for part in parts.values()
        ]
        with closing(interleave_parallel(works, threads if is_shared else 1)) as events:
            for place, event in events:
                if not isinstance(event, DenoisingProgress):
                    made[place] = event
                yield place, event
        waiting = [order for order in waiting if order.key not in made]


def _synthesize_modality(
    orders: Sequence[SynthesisRequest],
    synthesizers: Callable[[str], Synthesizer],
    made: Mapping[SegmentKey, Medium],
    has_previews: bool,
    clock: StageTimer,
) -> Iterator[tuple[SegmentKey, DenoisingProgress | Medium]]:
    """One kind after the other; orders of one kind are made side by side."""
    kinds: dict[tuple[object, ...], list[SynthesisRequest]] = {}
    for order in orders:
        kinds.setdefault(
            (order.num_inference_steps, order.guidance_scale, order.edit_source is None), []
        ).append(order)
    for alike in kinds.values():
        events = _synthesize_group(alike, synthesizers, made, has_previews)
        yield from clock.time_each(orders[0].modality, events)


def _synthesize_group(
    orders: Sequence[SynthesisRequest],
    synthesizers: Callable[[str], Synthesizer],
    made: Mapping[SegmentKey, Medium],
    has_previews: bool,
) -> Iterator[tuple[SegmentKey, DenoisingProgress | Medium]]:
    first = orders[0]
    synthesizer = synthesizers(first.modality)
    sources = [
        made[order.edit_source] if isinstance(order.edit_source, tuple) else order.edit_source
        for order in orders
    ]
    for step in synthesizer.denoise(
        torch.stack([order.condition for order in orders]),  # (B, Q, C)
        seeds=[order.seed for order in orders],
        num_inference_steps=first.num_inference_steps,
        guidance_scale=first.guidance_scale,
        edit_source=None if first.edit_source is None else sources,
    ):
        previews = synthesizer.preview(step.predicted_original) if has_previews else [None] * len(orders)
        for order, preview in zip(orders, previews, strict=True):
            yield order.key, DenoisingProgress(order.modality, step.index, step.total, preview)
    for order, medium in zip(orders, synthesizer.decode(step.latents), strict=True):
        yield order.key, medium
