"""Media of answers to what they show and play: many at once, whoever made them, in whatever size."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import PIL.Image

from nextgpt.media import resample, to_mono, uniform_indices
from nextgpt.message import Audio, Image, Medium, Video
from nextgpt.miniworld.backgrounds import SIDE_PX
from nextgpt.miniworld.judge.clips import judge_clips
from nextgpt.miniworld.judge.scenes import judge_scenes
from nextgpt.miniworld.judge.sounds import judge_sounds
from nextgpt.miniworld.language.descriptions import in_reading_order
from nextgpt.miniworld.motions import FRAMES
from nextgpt.miniworld.note_samples import SAMPLE_RATE_HZ
from nextgpt.miniworld.note_sequence import DURATION_SAMPLES
from nextgpt.miniworld.specs import MediaSpec


@dataclass(frozen=True)
class ModalityJudge:
    """How media of one modality are judged."""

    as_array: Callable[[Any], np.ndarray]
    """A medium as the judge takes it."""
    judge: Callable[[np.ndarray], Sequence[Any]]
    """A batch of them to verdicts."""


def recognize_media(media: Sequence[Medium]) -> list[MediaSpec]:
    """What each medium shows or plays, objects in the order in which a picture is read."""
    seen: dict[int, MediaSpec] = {}
    for modality, judging in MODALITY_JUDGES.items():
        places = [place for place, medium in enumerate(media) if medium.modality == modality]
        if places:
            verdicts = judging.judge(np.stack([judging.as_array(media[place]) for place in places]))
            seen |= {
                place: in_reading_order(verdict.spec) for place, verdict in zip(places, verdicts, strict=True)
            }
    return [seen[place] for place in range(len(media))]


def _picture(image: Image) -> np.ndarray:
    return _fitted(image.image)


def _samples(audio: Audio) -> np.ndarray:
    mono = resample(to_mono(audio), SAMPLE_RATE_HZ).samples[0]
    return np.pad(mono[:DURATION_SAMPLES], (0, max(0, DURATION_SAMPLES - len(mono))))


def _frames(video: Video) -> np.ndarray:
    chosen = video.frames[uniform_indices(len(video.frames), FRAMES)]
    return np.stack([_fitted(PIL.Image.fromarray(frame)) for frame in chosen])


def _fitted(picture: PIL.Image.Image) -> np.ndarray:
    size = (SIDE_PX, SIDE_PX)
    return np.asarray(picture if picture.size == size else picture.resize(size, PIL.Image.Resampling.BICUBIC))


MODALITY_JUDGES: dict[str, ModalityJudge] = {
    "image": ModalityJudge(_picture, judge_scenes),
    "audio": ModalityJudge(_samples, judge_sounds),
    "video": ModalityJudge(_frames, judge_clips),
}
