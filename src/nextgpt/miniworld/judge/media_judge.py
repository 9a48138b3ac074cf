"""Adapter from media of any size, frame rate and sample rate to the judge's arrays."""

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
    """Judge of one modality."""

    as_array: Callable[[Any], np.ndarray]
    """Convert a medium to the judge's input array."""
    judge: Callable[[np.ndarray], Sequence[Any]]
    """Recognize a batch of arrays."""


def recognize_media(media: Sequence[Medium]) -> list[MediaSpec]:
    """Return the spec that the judge recognizes in each medium, objects in reading order."""
    observed: dict[int, MediaSpec] = {}
    for modality, modality_judge in MODALITY_JUDGES.items():
        indices = [index for index, medium in enumerate(media) if medium.modality == modality]
        if indices:
            results = modality_judge.judge(np.stack([modality_judge.as_array(media[index]) for index in indices]))
            observed |= {index: in_reading_order(result.spec) for index, result in zip(indices, results, strict=True)}
    return [observed[index] for index in range(len(media))]


def _image_pixels(image: Image) -> np.ndarray:
    return _resized(image.image)


def _samples(audio: Audio) -> np.ndarray:
    mono = resample(to_mono(audio), SAMPLE_RATE_HZ).samples[0]
    return np.pad(mono[:DURATION_SAMPLES], (0, max(0, DURATION_SAMPLES - len(mono))))


def _frames(video: Video) -> np.ndarray:
    sampled = video.frames[uniform_indices(len(video.frames), FRAMES)]
    return np.stack([_resized(PIL.Image.fromarray(frame)) for frame in sampled])


def _resized(image: PIL.Image.Image) -> np.ndarray:
    size = (SIDE_PX, SIDE_PX)
    return np.asarray(image if image.size == size else image.resize(size, PIL.Image.Resampling.BICUBIC))


MODALITY_JUDGES: dict[str, ModalityJudge] = {
    "image": ModalityJudge(_image_pixels, judge_scenes),
    "audio": ModalityJudge(_samples, judge_sounds),
    "video": ModalityJudge(_frames, judge_clips),
}
