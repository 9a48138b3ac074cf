"""Embeddings of text and media in the encoder's common space."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from nextgpt.message import Medium
from nextgpt.model.encoding.base import Encoder


@torch.no_grad()
def embed(encoder: Encoder, items: Sequence[str | Medium]) -> list[list[float]]:
    """Return a vector of length 1 per text or medium."""
    texts = [item for item in items if isinstance(item, str)]
    media = [item for item in items if not isinstance(item, str)]
    text_vectors = iter(encoder.embed_text(texts) if texts else ())
    media_vectors = iter(encoder.embed_media(media) if media else ())
    vectors = [next(text_vectors if isinstance(item, str) else media_vectors) for item in items]
    return [torch.nn.functional.normalize(vector.float(), dim=0).tolist() for vector in vectors]
