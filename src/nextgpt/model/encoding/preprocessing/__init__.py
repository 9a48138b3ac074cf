"""Preprocess media and texts to the input tensors of the towers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from nextgpt.model.encoding.preprocessing.audio import preprocess_audio
from nextgpt.model.encoding.preprocessing.sensors import preprocess_depth, preprocess_imu, preprocess_thermal
from nextgpt.model.encoding.preprocessing.text import tokenize
from nextgpt.model.encoding.preprocessing.vision import preprocess_image, preprocess_video

__all__ = [
    "PREPROCESSORS",
    "Preprocessor",
    "preprocess_audio",
    "preprocess_depth",
    "preprocess_image",
    "preprocess_imu",
    "preprocess_thermal",
    "preprocess_video",
    "tokenize",
]


@dataclass(frozen=True)
class Preprocessor:
    """Tower and preprocessing function of one modality."""

    tower: str
    preprocess: Callable[..., Tensor]
    """``preprocess(medium, tower_config) -> (clips, ...)``."""


PREPROCESSORS: dict[str, Preprocessor] = {
    "image": Preprocessor("vision", preprocess_image),
    "audio": Preprocessor("audio", preprocess_audio),
    "video": Preprocessor("vision", preprocess_video),
    "depth": Preprocessor("depth", preprocess_depth),
    "thermal": Preprocessor("thermal", preprocess_thermal),
    "imu": Preprocessor("imu", preprocess_imu),
}
