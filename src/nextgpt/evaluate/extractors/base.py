"""Interface of feature extractors, and what they share: batches, images and audio as tensors, installed packages."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from torch import Tensor

from nextgpt.errors import ConfigError
from nextgpt.media.audio import resample, to_mono
from nextgpt.media.image import center_crop, resize_short_side
from nextgpt.media.types import Audio, Image, Medium

BATCH_SIZE = 16
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


@runtime_checkable
class FeatureExtractor(Protocol):
    """Turns media into vectors.

    An extractor may also have ``probabilities(media)``, which returns class probabilities (n, classes), and
    ``embed_texts(texts)``, which returns vectors (n, d) in the space of the media.
    """

    @property
    def name(self) -> str:
        """Name in :data:`~nextgpt.evaluate.extractors.EXTRACTORS`."""
        ...

    @property
    def modalities(self) -> tuple[str, ...]:
        """Modalities of the media that it takes."""
        ...

    @property
    def weights_hash(self) -> str:
        """Hexadecimal hash of the weights."""
        ...

    @property
    def preprocessing(self) -> str:
        """Description of how media are prepared, for reports."""
        ...

    def extract(self, media: Sequence[Medium]) -> np.ndarray:
        """Return the features (n, d) of media, float32, without gradients."""
        ...


@torch.inference_mode()
def run_batched(network: Callable[[Tensor], Tensor], inputs: Sequence[Tensor]) -> np.ndarray:
    """Run a network on inputs of equal shapes, stacked in batches; return its outputs (n, ...) as float32."""
    batches = [torch.stack(list(inputs[i : i + BATCH_SIZE])) for i in range(0, len(inputs), BATCH_SIZE)]
    return torch.cat([network(batch).float() for batch in batches]).numpy() if batches else np.zeros((0, 1), np.float32)


def image_pixels(
    medium: Medium, side_px: int, mean: Sequence[float], std: Sequence[float], *, name: str = "extractor"
) -> Tensor:
    """Return the central square of an image, resized bicubically and normalized, as (3, side, side)."""
    if not isinstance(medium, Image):
        raise ConfigError(f"{name}: got a medium of the type {medium.modality}; expected an image.")
    square = center_crop(resize_short_side(medium.image, side_px), side_px)
    pixels = torch.from_numpy(np.asarray(square, dtype=np.float32) / 255).permute(2, 0, 1)
    return (pixels - torch.tensor(mean).view(3, 1, 1)) / torch.tensor(std).view(3, 1, 1)


def mono_samples(medium: Medium, sample_rate_hz: int, *, min_samples: int = 1, name: str = "extractor") -> Tensor:
    """Return the mean of the channels at ``sample_rate_hz``, padded with silence to ``min_samples``."""
    if not isinstance(medium, Audio):
        raise ConfigError(f"{name}: got a medium of the type {medium.modality}; expected audio.")
    samples = torch.from_numpy(np.ascontiguousarray(to_mono(resample(medium, sample_rate_hz)).samples[0]))
    return torch.nn.functional.pad(samples, (0, max(0, min_samples - len(samples))))


def package_file(package: str, relative: str, install: str) -> Path:
    """Return a file of an installed package without importing it.

    Raises:
        ConfigError: The package or the file is missing; the message has the command that installs it.
    """
    spec = find_spec(package)
    folders = list(spec.submodule_search_locations or ()) if spec else []
    path = Path(folders[0]) / relative if folders else None
    if path is None or not path.exists():
        raise ConfigError(f"the package {package} is missing; run `{install}`.")
    return path
