"""Encoder vectors of media and captions, for ranking and for near duplicates."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from nextgpt.errors import ModelError
from nextgpt.message import Medium
from nextgpt.model.encoding.base import Encoder


@torch.inference_mode()
def embed_media(encoder: Encoder, media: Sequence[Medium]) -> Float[Tensor, "N E"]:
    """Return one vector of norm 1 per medium: the mean of its features."""
    vectors = [features.vectors.float().mean(dim=0) for features in encoder.encode(media)]
    return functional.normalize(torch.stack(vectors), dim=-1)


@torch.inference_mode()
def score_captions(encoder: Encoder, media: Sequence[Medium], captions: Sequence[str]) -> list[float | None]:
    """Return the cosine of each medium with its caption; ``None`` if the encoder has no such tower."""
    try:
        texts = functional.normalize(encoder.embed_text(captions).float(), dim=-1)
        return (embed_media(encoder, media) * texts).sum(dim=-1).tolist()
    except ModelError:
        return [None] * len(media)
