"""The encoder of a model of ours as an extractor: features of all media."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b

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
    modalities = ("image", "audio", "video")
    preprocessing = "that of the model's encoder; mean over patches"

    def __init__(self, encoder: Encoder) -> None:
        self._encoder = encoder
        self.weights_hash = _state_hash(encoder)

    @classmethod
    def from_model(cls, model: str) -> EncoderExtractor:
        """Take the encoder of a model. Raises :class:`~nextgpt.errors.ModelError`."""
        return cls(NextGPT.from_pretrained(model).encoder)

    @torch.inference_mode()
    def extract(self, media: Sequence[Medium]) -> np.ndarray:
        """Return features (n, E)."""
        return torch.stack([features.vectors.float().mean(0) for features in self._encoder.encode(media)]).cpu().numpy()


def _state_hash(encoder: Encoder) -> str:
    digest = blake2b(digest_size=16)
    if isinstance(encoder, torch.nn.Module):
        for key, value in sorted(encoder.state_dict().items()):
            digest.update(key.encode())
            digest.update(value.detach().float().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()
