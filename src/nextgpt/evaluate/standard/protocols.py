"""Table of the suites of standard tasks: where items come from, which metrics count, what was published.

A suite is a row. Published values come from the paper's tables (v1 → final version) and from the works that it compares
with; none of them states the sample, so they stand beside ours as "protocol unstated".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from nextgpt.evaluate.standard.annotations import AUDIOCAPS, COCO, KARPATHY, MSRVTT, STAMP_IMAGES, STAMP_SOUNDS
from nextgpt.evaluate.standard.item_sources import (
    ItemSource,
    captioning_source,
    edit_source,
    generation_source,
    interleaved_source,
    request_source,
)

ALL_SMALL = "all-small"
"""Name of the run of all suites on an export of the small world."""
MEDIA_SYSTEMS = ("direct", "cascade", "true-caption", "truth", "shuffled")
EDIT_SYSTEMS = (*MEDIA_SYSTEMS, "unchanged")
CHOICE_SYSTEMS = ("direct", "cascade", "truth", "shuffled")
IMAGE_METRICS = ("fid", "kid", "is", "clip_score")
TEXT_METRICS = ("bleu_4", "meteor", "rouge_l", "cider_d", "spice", "spider")


@dataclass(frozen=True)
class Protocol:
    """A row of the table."""

    name: str
    about: str
    """Task and data in one sentence."""
    output: str
    """Modality that is scored."""
    source: ItemSource
    metrics: tuple[str, ...]
    """Names in :data:`nextgpt.evaluate.metrics.METRICS`."""
    systems: tuple[str, ...] = MEDIA_SYSTEMS
    """Systems of :data:`ALL_SMALL`."""
    published: Mapping[str, str] = field(default_factory=dict)
    """Published values by metric."""


_ROWS = (
    Protocol(
        "coco-t2i",
        "Image from one caption each, against the captioned images (protocol of COCO-2014 val)",
        "image",
        generation_source((COCO, STAMP_IMAGES), "Draw {caption}."),
        (*IMAGE_METRICS, "modality"),
        published={"fid": "11.28 → 11.18; SD-1.5 11.21, CoDi 11.26, GILL 12.20"},
    ),
    Protocol(
        "audiocaps-t2a",
        "Audio from one caption each, against the captioned clips (protocol of AudioCaps test)",
        "audio",
        generation_source((AUDIOCAPS, STAMP_SOUNDS), "Play {caption}."),
        ("fd", "fad", "kad", "is", "clap_score", "modality"),
        published={"fd": "23.58 → 23.25; CoDi 22.90", "is": "8.35 → 8.67; CoDi 8.77"},
    ),
    Protocol(
        "msrvtt-t2v",
        "Video from one caption each, against the captioned videos (protocol of MSR-VTT test)",
        "video",
        generation_source((MSRVTT,), "Show me a video of {caption}."),
        ("fid", "kid", "clipsim", "modality"),
        published={"fid": "13.04 → 12.69; Make-A-Video 13.17", "clipsim": ".3085 → .3197; CoDi .2890"},
    ),
    Protocol(
        "coco-i2t",
        "Caption of an image, against five captions (protocol of Karpathy's COCO test split)",
        "text",
        captioning_source((KARPATHY, COCO, STAMP_IMAGES)),
        TEXT_METRICS,
        published={
            "bleu_4": "44.3 → 45.1; BLIP-2 43.7",
            "meteor": "32.9 → 34.1",
            "cider_d": "156.7 → 158.3; BLIP-2 145.8",
        },
    ),
    Protocol(
        "audiocaps-a2t",
        "Caption of an audio clip, against five captions (protocol of AudioCaps test)",
        "text",
        captioning_source((AUDIOCAPS, STAMP_SOUNDS)),
        TEXT_METRICS,
        published={"spider": ".521 → .534; CoDi .480", "cider_d": ".802 → .807; CoDi .789"},
    ),
    Protocol(
        "msrvtt-v2t",
        "Caption of a video, against twenty captions (protocol of MSR-VTT test)",
        "text",
        captioning_source((MSRVTT,)),
        TEXT_METRICS,
        published={"bleu_4": "58.4 → 58.8; GIT 54.8", "meteor": "38.5 → 39.6; GIT 33.1"},
    ),
    Protocol(
        "edit-image",
        "Edit of an image by an instruction: agreement with the target caption, change inside the mask, rest kept",
        "image",
        edit_source("image"),
        ("clip_score", "fid", "kid", "edit_regions", "modality"),
        EDIT_SYSTEMS,
        published={
            "clip_score": "object 29.32, background 27.31 (×100); PFB-Diff 30.81, 32.25",
            "fid": "object 6.62, background 14.27; PFB-Diff 5.93, 13.77",
        },
    ),
    Protocol(
        "edit-audio",
        "Edit of an audio clip by an instruction, against the true result",
        "audio",
        edit_source("audio"),
        ("mcd", "modality"),
        EDIT_SYSTEMS,
        published={"mcd": ".300 (scale unknown); AudioLDM-L .349"},
    ),
    Protocol(
        "edit-video",
        "Edit of a video by an instruction: agreement of frames with the target caption and with each other",
        "video",
        edit_source("video"),
        ("clip_t", "clip_i", "kid", "modality"),
        EDIT_SYSTEMS,
        published={"clip_t": ".2684; Pix2Video .2891", "clip_i": ".9647; Pix2Video .9767"},
    ),
    Protocol(
        "modality-choice",
        "Modalities of the answer to requests of every kind",
        "any",
        request_source,
        ("modality",),
        CHOICE_SYSTEMS,
    ),
    Protocol(
        "unim",
        "Type and number of media in interleaved answers, as UniM's structure scores; the file form is ours",
        "any",
        interleaved_source,
        ("structure",),
        CHOICE_SYSTEMS,
    ),
)
PROTOCOLS: dict[str, Protocol] = {protocol.name: protocol for protocol in _ROWS}
