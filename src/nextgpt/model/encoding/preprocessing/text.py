"""Tokenize texts for the text tower."""

from __future__ import annotations

import html
from collections.abc import Sequence

import ftfy
import torch
from jaxtyping import Int
from tokenizers import Tokenizer
from torch import Tensor

from nextgpt.model.encoding.config import TextTower

_MAX_CHARS_PER_POSITION = 32
"""Longer texts are cut before tokenization: tokens are shorter on average."""


def tokenize(tokenizer: Tokenizer, texts: Sequence[str], tower: TextTower) -> Int[Tensor, "B T"]:
    """Return ids with start and end tokens, padded with 0; long texts are truncated before the end token.

    Start and end tokens spelled in a text are removed. Texts are cleaned as CLIP's: broken encodings and HTML entities.
    """
    room = tower.positions * _MAX_CHARS_PER_POSITION
    marks = {tower.start_token_id, tower.end_token_id}
    start = [] if tower.start_token_id is None else [tower.start_token_id]
    rows = []
    for encoding in tokenizer.encode_batch([clean_text(text[:room]) for text in texts], add_special_tokens=False):
        words = [token for token in encoding.ids if token not in marks]
        rows.append([*[*start, *words][: tower.positions - 1], tower.end_token_id])
    longest = max((len(row) for row in rows), default=0)
    return torch.tensor([row + [0] * (longest - len(row)) for row in rows], dtype=torch.long).view(len(rows), longest)


def clean_text(text: str) -> str:
    """Return ``café & bar`` for ``cafÃ© &amp;amp; bar``, as CLIP's tokenizer (openai/CLIP, ``simple_tokenizer.py``)."""
    return " ".join(html.unescape(html.unescape(ftfy.fix_text(text))).split())
