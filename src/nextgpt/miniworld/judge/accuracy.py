"""How far the judge itself can be trusted: its accuracy on true renderings, shown beside every result."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from nextgpt.miniworld.judge.attribute_match import ATTRIBUTES, match_attributes
from nextgpt.miniworld.judge.clips import judge_clips
from nextgpt.miniworld.judge.result import JudgeResult
from nextgpt.miniworld.judge.scenes import judge_scenes
from nextgpt.miniworld.judge.sounds import judge_sounds
from nextgpt.miniworld.note_sequence import render_sound
from nextgpt.miniworld.render import render_clip, render_scene
from nextgpt.miniworld.sample_specs import sample_clip, sample_scene, sample_sound
from nextgpt.miniworld.specs import ClipSpec, MediaSpec, SceneSpec, SoundSpec
from nextgpt.miniworld.splits import Split


@dataclass(frozen=True)
class AttributeAccuracy:
    """How often the judge is right about one attribute."""

    modality: str
    attribute: str
    correct: int
    cases: int

    @property
    def accuracy(self) -> float:
        """The share that is right, 0 to 1."""
        return self.correct / self.cases


@dataclass(frozen=True)
class _Judging:
    kind: type
    sample: Callable[[np.random.Generator, Split], MediaSpec]
    render: Callable[[MediaSpec], np.ndarray]
    judge: Callable[[np.ndarray], list[JudgeResult]]


_JUDGINGS = {
    "image": _Judging(SceneSpec, sample_scene, render_scene, judge_scenes),
    "audio": _Judging(SoundSpec, sample_sound, render_sound, judge_sounds),
    "video": _Judging(ClipSpec, sample_clip, render_clip, judge_clips),
}
_CHUNK = 32
"""Media that are rendered at once."""


def judge_accuracy(
    split: Split = "test",
    cases: int = 200,
    seed: int = 0,
    spoil: Callable[[np.ndarray], np.ndarray] | None = None,
) -> list[AttributeAccuracy]:
    """Judge ``cases`` true renderings of each modality; one score for each attribute.

    ``spoil`` changes each rendering before it is judged, for example blurs it, to see what the judge forgives; it
    gets the arrays of all three modalities.
    """
    rng = np.random.default_rng(seed)
    return [
        score
        for modality, judging in _JUDGINGS.items()
        for score in _scores(modality, judging, [judging.sample(rng, split) for _ in range(cases)], spoil)
    ]


def _scores(
    modality: str,
    judging: _Judging,
    contents: list[MediaSpec],
    spoil: Callable[[np.ndarray], np.ndarray] | None,
) -> list[AttributeAccuracy]:
    right = dict.fromkeys(ATTRIBUTES[judging.kind], 0)
    for start in range(0, len(contents), _CHUNK):
        chunk = contents[start : start + _CHUNK]
        media = [judging.render(content) for content in chunk]
        verdicts = judging.judge(np.stack([spoil(medium) for medium in media] if spoil else media))
        for content, verdict in zip(chunk, verdicts, strict=True):
            for attribute, is_right in match_attributes(content, verdict.spec).items():
                right[attribute] += is_right
    return [
        AttributeAccuracy(modality, attribute, count, len(contents)) for attribute, count in right.items()
    ]
