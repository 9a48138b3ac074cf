"""Texts and media as vectors of the encoder's common space."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from nextgpt.message import Medium
from nextgpt.model.encoding.base import Encoder


@torch.no_grad()
def embed(encoder: Encoder, items: Sequence[str | Medium]) -> list[list[float]]:
    """A vector of length 1 for each text or medium."""
    texts = [item for item in items if isinstance(item, str)]
    media = [item for item in items if not isinstance(item, str)]
    of_texts = iter(encoder.embed_text(texts) if texts else ())
    of_media = iter([features.vectors.mean(dim=0) for features in encoder.encode(media)] if media else ())
    vectors = [next(of_texts if isinstance(item, str) else of_media) for item in items]
    return [torch.nn.functional.normalize(vector.float(), dim=0).tolist() for vector in vectors]
