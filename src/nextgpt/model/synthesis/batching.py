"""Synthesize the media of several replies: similar requests in one batch, small modalities in parallel.

An edit of a medium of the same reply waits for that medium. Conditions are inputs: this module does not depend on the
language model.
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
"""Row of the reply in the batch and index of the segment in the reply."""
SynthesisEvents = Iterator[tuple[SegmentKey, DenoisingProgress | Medium]]


@dataclass(frozen=True, eq=False)
class SynthesisRequest:
    """Request for one medium."""

    key: SegmentKey
    modality: str
    condition: Float[Tensor, "Q C"]
    seed: int
    num_inference_steps: int | None = None
    """Denoising steps. Default: the synthesizer's own."""
    guidance_scale: float | None = None
    """Classifier-free guidance scale. Default: the synthesizer's own."""
    edit_source: Medium | SegmentKey | None = None
    """Medium that an edit starts from, or the key of one that is not yet synthesized."""


PARALLEL_MAX_MACS = 2.5e9
"""Maximum multiply-accumulates of one denoising step, for all media of a modality, to run modalities in parallel.

Smaller steps leave cores idle between layers. ``benchmarks/parallel_synthesis.py`` measures the threshold.
"""


def synthesize_batch(
    requests: Sequence[SynthesisRequest],
    synthesizer: Callable[[str], Synthesizer],
    *,
    previews: bool = False,
    threads: int = 1,
    timer: StageTimer | None = None,
) -> SynthesisEvents:
    """Synthesize all requests; yield every denoising step, and every medium when it is finished.

    Args:
        threads: Torch threads. With several, modalities with small steps run in parallel and share the threads.
            With offloading only 1 is possible. The number of threads changes results only by rounding.
        timer: Receives the seconds of each modality; they overlap for modalities that run in parallel.
    """
    timer = timer or StageTimer()
    finished: dict[SegmentKey, Medium] = {}
    pending = list(requests)
    while pending:
        ready = [
            request
            for request in pending
            if not isinstance(request.edit_source, tuple) or request.edit_source in finished
        ]
        assert ready, "an edit waits for an earlier medium of the same reply, so there is no cycle"
        batches: dict[str, list[SynthesisRequest]] = {}
        for request in ready:
            batches.setdefault(request.modality, []).append(request)
        is_parallel = False
        if threads > 1 and len(batches) > 1:
            macs = {name: len(batch) * synthesizer(name).macs_per_step for name, batch in batches.items()}
            batches = {name: batches[name] for name in sorted(macs, key=lambda name: -macs[name])}
            is_on_cpu = all(synthesizer(name).device.type == "cpu" for name in batches)
            is_parallel = is_on_cpu and max(macs.values()) < PARALLEL_MAX_MACS
        tasks = [
            partial(_synthesize_modality, batch, synthesizer, finished, previews, timer) for batch in batches.values()
        ]
        with closing(interleave_parallel(tasks, threads if is_parallel else 1)) as events:
            for key, event in events:
                if not isinstance(event, DenoisingProgress):
                    finished[key] = event
                yield key, event
        pending = [request for request in pending if request.key not in finished]


def _synthesize_modality(
    requests: Sequence[SynthesisRequest],
    synthesizer: Callable[[str], Synthesizer],
    finished: Mapping[SegmentKey, Medium],
    previews: bool,
    timer: StageTimer,
) -> SynthesisEvents:
    """Synthesize requests of one modality; those with equal settings form one batch."""
    groups: dict[tuple[object, ...], list[SynthesisRequest]] = {}
    for request in requests:
        settings = (request.num_inference_steps, request.guidance_scale, request.edit_source is None)
        groups.setdefault(settings, []).append(request)
    for group in groups.values():
        modality = group[0].modality
        events = _synthesize_group(group, synthesizer, finished, previews)
        yield from timer.time_each(modality, events)


def _synthesize_group(
    requests: Sequence[SynthesisRequest],
    synthesizers: Callable[[str], Synthesizer],
    finished: Mapping[SegmentKey, Medium],
    previews: bool,
) -> SynthesisEvents:
    first = requests[0]
    synthesizer = synthesizers(first.modality)  # here, so that loading counts as time of the modality
    sources = [
        finished[request.edit_source] if isinstance(request.edit_source, tuple) else request.edit_source
        for request in requests
    ]
    for step in synthesizer.denoise(
        torch.stack([request.condition for request in requests]),  # (B, Q, C)
        seeds=[request.seed for request in requests],
        num_inference_steps=first.num_inference_steps,
        guidance_scale=first.guidance_scale,
        edit_source=None if first.edit_source is None else sources,
    ):
        rough = synthesizer.preview(step.predicted_original) if previews else [None] * len(requests)
        for request, preview in zip(requests, rough, strict=True):
            yield request.key, DenoisingProgress(request.modality, step.index, step.total, preview)
    for request, medium in zip(requests, synthesizer.decode(step.latents), strict=True):
        yield request.key, medium
