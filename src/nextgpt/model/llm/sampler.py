"""Next-token sampling, with one random generator per sequence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor

from nextgpt.errors import ConfigError, unknown_name_message
from nextgpt.message import MAX_INFERENCE_STEPS, Sampling

TOP_P_CANDIDATES = 64
"""Most likely tokens that nearly always contain the ``top_p`` mass; the complete vocabulary is sorted otherwise."""
MAX_SEED = 2**63
"""Limit of seeds. The media of one reply use consecutive seeds, and torch accepts 64 bits."""


def sample_next_tokens(
    logits: Float[Tensor, "B Vn"], samplings: Sequence[Sampling], generators: Sequence[torch.Generator]
) -> list[int]:
    """Return the next token per row: greedy at temperature 0, otherwise top-p sampling.

    Each row has its own generator, so its samples do not depend on the rest of the batch.
    """
    logits = logits.float().cpu()  # on the CPU: equal samples on every device
    token_ids = logits.detach().numpy().argmax(axis=-1).tolist()  # ten times as fast as torch for large vocabularies
    sampled = [row for row, sampling in enumerate(samplings) if sampling.temperature > 0]
    if not sampled:
        return token_ids
    temperatures, top_p = (
        torch.tensor([getattr(samplings[row], name) for row in sampled])[:, None] for name in ("temperature", "top_p")
    )
    probabilities = (logits[sampled] / temperatures).softmax(dim=-1)
    uniform = torch.cat([torch.rand(1, generator=generators[row]) for row in sampled])[:, None]
    is_excluded = probabilities < _top_p_threshold(probabilities, top_p)
    ids = _sample_from(probabilities.masked_fill(is_excluded, 0.0), uniform)
    for row, token_id in zip(sampled, ids.tolist(), strict=True):
        token_ids[row] = token_id
    return token_ids


def _top_p_threshold(probabilities: Float[Tensor, "B Vn"], top_p: Float[Tensor, "B 1"]) -> Float[Tensor, "B 1"]:
    """Return the probability of the last token within ``top_p``; equally likely tokens are kept as well."""
    threshold = torch.zeros_like(top_p)
    rows = (top_p[:, 0] < 1).nonzero()[:, 0]
    for count in (min(TOP_P_CANDIDATES, probabilities.shape[1]), probabilities.shape[1]):
        if not len(rows):
            break
        top = probabilities[rows].topk(count).values  # (R, count), descending
        sums = top.cumsum(dim=-1)
        needed = (sums - top < top_p[rows]).sum(dim=-1, keepdim=True)
        threshold[rows] = top.gather(1, needed - 1)
        rows = rows[sums[:, -1] < top_p[rows, 0]]
    return threshold


def _sample_from(weights: Float[Tensor, "B Vn"], uniform: Float[Tensor, "B 1"]) -> Int[Tensor, " B"]:
    """Sample one token per row in proportion to its weight, from a number in [0, 1).

    The number counts along token ids rather than sorted weights: batches round differently, which may swap two almost
    equally likely tokens and must not change the sample.
    """
    sums = weights.cumsum(dim=-1)
    ids = torch.searchsorted(sums, uniform * sums[:, -1:], right=True)
    last = (sums < sums[:, -1:]).sum(dim=-1, keepdim=True)  # guards against a product that is rounded up
    return ids.minimum(last)[:, 0]


def validate_sampling(sampling: Sampling, modalities: Sequence[str]) -> None:
    """Raise :class:`ConfigError` for an invalid setting; ``modalities`` are the model's output modalities."""
    steps, scales = sampling.num_inference_steps, sampling.guidance_scale
    rules = (
        (0 <= sampling.seed < MAX_SEED, f"seed is {sampling.seed}; expected 0 to {MAX_SEED - 1}."),
        (sampling.max_tokens >= 1, f"max_tokens is {sampling.max_tokens}; expected at least 1."),
        (sampling.temperature >= 0, f"temperature is {sampling.temperature}; expected 0 (greedy) or more."),
        (0 < sampling.top_p <= 1, f"top_p is {sampling.top_p}; expected more than 0 and at most 1."),
        (all(sampling.stop), "A stop string is empty; expected at least one character in each."),
        (sampling.modalities != (), "modalities is empty; expected e.g. ('text',), or None for all."),
        (
            sampling.json_schema is None or set(sampling.modalities or ("text",)) == {"text"},
            "json_schema is set beside modalities other than text; expected ('text',), or None.",
        ),
        *(
            (1 <= n <= MAX_INFERENCE_STEPS, f"num_inference_steps is {n}; expected 1 to {MAX_INFERENCE_STEPS}.")
            for n in _values(steps)
        ),
        *((scale >= 1, f"guidance_scale is {scale}; expected 1 (none) or more.") for scale in _values(scales)),
    )
    for is_met, message in rules:
        if not is_met:
            raise ConfigError(message)
    for modality in (*(sampling.modalities or ()), *_keys(steps), *_keys(scales)):
        if modality not in modalities:
            raise ConfigError(unknown_name_message("modality", modality, modalities))


def _values(setting: float | Mapping[str, float] | None) -> tuple[float, ...]:
    if setting is None:
        return ()
    return tuple(setting.values()) if isinstance(setting, Mapping) else (setting,)


def _keys(setting: float | Mapping[str, float] | None) -> tuple[str, ...]:
    return tuple(setting) if isinstance(setting, Mapping) else ()
