"""The encoder of a model of ours as an extractor: features of all media."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from nextgpt.media.types import Medium
from nextgpt.model.encoding.base import Encoder
from nextgpt.model.nextgpt import NextGPT


class EncoderExtractor:
    """Mean over the vectors of a medium.

    Suits comparisons between versions of one model; another model has other features.
    """

    name = "encoder"
    preprocessing = "that of the model's encoder; mean over patches"

    def __init__(self, encoder: Encoder) -> None:
        self._encoder = encoder

    @classmethod
    def from_model(cls, model: str) -> EncoderExtractor:
        """Take the encoder of a model. Raises :class:`~nextgpt.errors.ModelError`."""
        return cls(NextGPT.from_pretrained(model).encoder)

    @torch.inference_mode()
    def extract(self, media: Sequence[Medium]) -> np.ndarray:
        """Return features (n, E)."""
        return torch.stack([features.vectors.float().mean(0) for features in self._encoder.encode(media)]).cpu().numpy()
