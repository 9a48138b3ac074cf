"""Texts to token ids."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Int
from tokenizers import Tokenizer
from torch import Tensor

from nextgpt.model.encoding.config import TextTower

# Longer texts are cut before they are split into tokens: no token is that long on average.
_CHARACTERS_A_POSITION = 32


def tokenize(tokenizer: Tokenizer, texts: Sequence[str], tower: TextTower) -> Int[Tensor, "B T"]:
    """Ids with start and end tokens, filled up with 0 to the longest; what does not fit is cut, the end token stays.

    A text that spells a start or end token does not make one.
    """
    room = tower.positions * _CHARACTERS_A_POSITION
    marks = {tower.start_token_id, tower.end_token_id}
    start = [] if tower.start_token_id is None else [tower.start_token_id]
    rows = []
    for encoding in tokenizer.encode_batch([text[:room] for text in texts], add_special_tokens=False):
        words = [token for token in encoding.ids if token not in marks]
        rows.append([*[*start, *words][: tower.positions - 1], tower.end_token_id])
    longest = max((len(row) for row in rows), default=0)
    return torch.tensor([row + [0] * (longest - len(row)) for row in rows], dtype=torch.long).view(
        len(rows), longest
    )
