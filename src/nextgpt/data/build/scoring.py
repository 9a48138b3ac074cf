"""Similarity of media and captions by an encoder, for ranking."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch.nn import functional

from nextgpt.message import Medium
from nextgpt.model.encoding.base import Encoder


@torch.inference_mode()
def score_captions(encoder: Encoder, media: Sequence[Medium], captions: Sequence[str]) -> list[float | None]:
    """Return the cosine of each medium with its caption; ``None`` if the encoder lacks texts or a modality."""
    if not {"text", *(medium.modality for medium in media)} <= set(encoder.modalities):
        return [None] * len(media)
    texts = functional.normalize(encoder.embed_text(captions).float(), dim=-1)
    return (encoder.embed_media(media).float() * texts).sum(dim=-1).tolist()
