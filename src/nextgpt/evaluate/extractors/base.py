"""Interface of feature extractors, and what they share: batches, memory of outputs, images and audio as tensors."""

from __future__ import annotations

from collections.abc import Callable, Sequence
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
    """Turns media into vectors. Its row of the table names what it takes and gives, and identifies its weights.

    An extractor may also have ``probabilities(media)``, which returns class probabilities (n, classes);
    ``embed_texts(texts)``, which returns vectors (n, d) in the space of the media; and ``extract_windows(media)``,
    which returns several vectors per medium.
    """

    @property
    def name(self) -> str:
        """Name in :data:`~nextgpt.evaluate.extractors.EXTRACTORS`."""
        ...

    @property
    def preprocessing(self) -> str:
        """Description of how media are prepared, for reports."""
        ...

    def extract(self, media: Sequence[Medium]) -> np.ndarray:
        """Return the features (n, d) of media, float32, without gradients."""
        ...


class OutputMemory:
    """Keeps what a network returned for the last media, so that several outputs of a medium cost one pass.

    Args:
        run: Returns an array per output, each with a row per medium.
    """

    MAX_MEDIA = 4096

    def __init__(self, run: Callable[[Sequence[Medium]], Sequence[np.ndarray]]) -> None:
        self._run = run
        self._rows: dict[bytes, tuple[np.ndarray, ...]] = {}

    def __call__(self, media: Sequence[Medium]) -> tuple[np.ndarray, ...]:
        """Return an array per output, each with a row per medium; media of equal content are run once."""
        if new := {medium.digest: medium for medium in media if medium.digest not in self._rows}:
            outputs = self._run([*new.values()])
            self._rows |= zip(new, zip(*outputs, strict=True), strict=True)
        rows = [self._rows[medium.digest] for medium in media]
        for digest in list(self._rows)[: -self.MAX_MEDIA]:
            del self._rows[digest]
        return tuple(map(np.stack, zip(*rows, strict=True)))


@torch.inference_mode()
def run_batched(network: Callable[[Tensor], tuple[Tensor, ...]], inputs: Sequence[Tensor]) -> tuple[np.ndarray, ...]:
    """Run a network on inputs of equal shapes, stacked in batches; return its outputs, each (n, ...), as float32."""
    batches = [torch.stack(list(inputs[i : i + BATCH_SIZE])) for i in range(0, len(inputs), BATCH_SIZE)]
    return tuple(torch.cat(rows).float().numpy() for rows in zip(*map(network, batches), strict=True))


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
