"""Choosing the next token, with a random stream of its own for every conversation."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from nextgpt.errors import ConfigError, unknown
from nextgpt.message import Sampling
from nextgpt.modality import MODALITIES


def choose(
    logits: Float[Tensor, "Vn"], *, temperature: float, top_p: float, generator: torch.Generator
) -> int:
    """The next token: the likeliest at temperature 0, else drawn from the likeliest that sum to ``top_p``."""
    if temperature == 0:
        return int(logits.argmax())
    scaled = (logits.float() / temperature).softmax(dim=-1).cpu()  # on the CPU: the same draws on every device
    probabilities, ids = scaled.sort(descending=True, stable=True)
    before = probabilities.cumsum(dim=-1) - probabilities
    kept = probabilities.masked_fill(before >= top_p, 0.0)
    return int(ids[torch.multinomial(kept, 1, generator=generator)])


def check(sampling: Sampling) -> None:
    """Raise :class:`ConfigError` where a setting cannot be meant."""
    limits = (
        (sampling.max_tokens >= 1, f"max_tokens is {sampling.max_tokens}; expected at least 1."),
        (sampling.temperature >= 0, f"temperature is {sampling.temperature}; expected 0 (greedy) or more."),
        (0 < sampling.top_p <= 1, f"top_p is {sampling.top_p}; expected more than 0 and at most 1."),
        (all(sampling.stop), "A stop string is empty; expected at least one character in each."),
        (sampling.modalities is None or sampling.modalities, "modalities is empty; expected at least one, e.g. ('text',)."),
    )
    for is_met, message in limits:
        if not is_met:
            raise ConfigError(message)
    for modality in sampling.modalities or ():
        if modality != "text" and modality not in MODALITIES:
            raise ConfigError(unknown("modality", modality, ["text", *MODALITIES]))
