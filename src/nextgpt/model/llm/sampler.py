"""Choosing the next token, with a random stream of its own for every conversation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor

from nextgpt.errors import ConfigError, unknown_name_message
from nextgpt.message import Sampling

MAX_INFERENCE_STEPS = 1000
"""Denoising steps that one may ask for: as many as diffusion models are trained with."""

TOP_P_CANDIDATES = 64
"""TokenSpan that nearly always hold all of ``top_p``; only for rows where they don't, the whole vocabulary is sorted."""
MAX_SEED = 2**63
"""Seeds of the media of one answer follow on one another, and torch takes 64 bits."""


def sample_next_tokens(
    logits: Float[Tensor, "B Vn"], samplings: Sequence[Sampling], generators: Sequence[torch.Generator]
) -> list[int]:
    """The next token of each row: the likeliest at temperature 0, else drawn from the likeliest that sum to ``top_p``.

    Every row has a generator of its own, so what it draws does not depend on its neighbours.
    """
    logits = logits.float().cpu()  # on the CPU: the same draws on every device
    chosen = logits.argmax(dim=-1).tolist()
    drawn = [row for row, sampling in enumerate(samplings) if sampling.temperature > 0]
    if not drawn:
        return chosen
    temperatures, tops = (
        torch.tensor([getattr(samplings[row], name) for row in drawn])[:, None]
        for name in ("temperature", "top_p")
    )
    probabilities = (logits[drawn] / temperatures).softmax(dim=-1)
    draws = torch.cat([torch.rand(1, generator=generators[row]) for row in drawn])[:, None]
    ids = _sample_from(
        probabilities.masked_fill(probabilities < _top_p_threshold(probabilities, tops), 0.0), draws
    )
    for row, token_id in zip(drawn, ids.tolist(), strict=True):
        chosen[row] = token_id
    return chosen


def _top_p_threshold(
    probabilities: Float[Tensor, "B Vn"], tops: Float[Tensor, "B 1"]
) -> Float[Tensor, "B 1"]:
    """The probability of the last token in each row that ``top_p`` needs; those that are as likely are kept as well."""
    least = torch.zeros_like(tops)
    remaining = (tops[:, 0] < 1).nonzero()[:, 0]
    for count in (min(TOP_P_CANDIDATES, probabilities.shape[1]), probabilities.shape[1]):
        if not len(remaining):
            break
        likely = probabilities[remaining].topk(count).values  # (R, count), falling
        sums = likely.cumsum(dim=-1)
        needed = (sums - likely < tops[remaining]).sum(dim=-1, keepdim=True)
        least[remaining] = likely.gather(1, needed - 1)
        remaining = remaining[sums[:, -1] < tops[remaining, 0]]
    return least


def _sample_from(weights: Float[Tensor, "B Vn"], draws: Float[Tensor, "B 1"]) -> Int[Tensor, " B"]:
    """A token for each row, as likely as its weight, by a number in [0, 1).

    The number counts along the ids, not along the likelihoods: a batch rounds otherwise than a single row does, which
    may swap two tokens that are all but equally likely, and must not change what is drawn.
    """
    sums = weights.cumsum(dim=-1)
    places = torch.searchsorted(sums, draws * sums[:, -1:], right=True)
    last = (sums < sums[:, -1:]).sum(dim=-1, keepdim=True)  # behind it a draw that is rounded up would stand
    return places.minimum(last)[:, 0]


def validate_sampling(sampling: Sampling, modalities: Sequence[str]) -> None:
    """Raise :class:`ConfigError` where a setting cannot be meant; ``modalities`` are those that can be answered."""
    limits = (
        (0 <= sampling.seed < MAX_SEED, f"seed is {sampling.seed}; expected 0 to {MAX_SEED - 1}."),
        (sampling.max_tokens >= 1, f"max_tokens is {sampling.max_tokens}; expected at least 1."),
        (sampling.temperature >= 0, f"temperature is {sampling.temperature}; expected 0 (greedy) or more."),
        (0 < sampling.top_p <= 1, f"top_p is {sampling.top_p}; expected more than 0 and at most 1."),
        (all(sampling.stop), "A stop string is empty; expected at least one character in each."),
        (
            sampling.modalities != (),
            "modalities is empty; expected at least one, e.g. ('text',), or None for all.",
        ),
        *(
            (1 <= n <= MAX_INFERENCE_STEPS, f"steps is {n}; expected 1 to {MAX_INFERENCE_STEPS}.")
            for n in _values(sampling.num_inference_steps)
        ),
        *(
            (scale >= 1, f"guidance is {scale}; expected 1 (none) or more.")
            for scale in _values(sampling.guidance_scale)
        ),
    )
    for is_met, message in limits:
        if not is_met:
            raise ConfigError(message)
    for modality in (
        *(sampling.modalities or ()),
        *_keys(sampling.num_inference_steps),
        *_keys(sampling.guidance_scale),
    ):
        if modality not in modalities:
            raise ConfigError(unknown_name_message("modality", modality, modalities))


def _values(setting: float | Mapping[str, float] | None) -> tuple[float, ...]:
    if setting is None:
        return ()
    return tuple(setting.values()) if isinstance(setting, Mapping) else (setting,)


def _keys(setting: float | Mapping[str, float] | None) -> tuple[str, ...]:
    return tuple(setting) if isinstance(setting, Mapping) else ()
