"""Choosing tokens, and settings that cannot be meant."""

from __future__ import annotations

import pytest
import torch

from nextgpt.errors import ConfigError
from nextgpt.message import Sampling
from nextgpt.model.llm.sampler import sample_next_tokens, validate_sampling

MODALITIES = ("text", "image")


def draws(logits, seed=0, count=200, **settings) -> list[int]:
    generators = [torch.Generator().manual_seed(seed)]
    return [sample_next_tokens(torch.tensor([logits]), [Sampling(**settings)], generators)[0] for _ in range(count)]


def test_temperature_zero_takes_the_likeliest():
    assert set(draws([0.0, 2.0, 1.0], temperature=0.0, top_p=1.0)) == {1}


def test_equal_seeds_draw_equally_and_others_differently():
    settings = {"temperature": 1.0, "top_p": 1.0}
    assert draws([0.0, 0.0, 0.0], seed=1, **settings) == draws([0.0, 0.0, 0.0], seed=1, **settings)
    assert draws([0.0, 0.0, 0.0], seed=1, **settings) != draws([0.0, 0.0, 0.0], seed=2, **settings)


def test_draws_follow_the_probabilities():
    drawn = draws([0.0, float(torch.tensor(3.0).log())], temperature=1.0, top_p=1.0, count=2000)
    assert 0.70 < sum(drawn) / len(drawn) < 0.80


def test_top_p_keeps_the_likeliest_that_reach_it():
    logits = torch.tensor([0.5, 0.3, 0.2]).log().tolist()
    assert set(draws(logits, temperature=1.0, top_p=0.5)) == {0}
    assert set(draws(logits, temperature=1.0, top_p=0.6)) == {0, 1}
    assert set(draws(logits, temperature=1.0, top_p=1.0)) == {0, 1, 2}


def test_rows_draw_side_by_side_what_they_draw_alone():
    rows = torch.tensor([[0.0, 2.0, 1.0], [0.3, 0.1, 0.2], [0.0, 0.1, 0.2]])
    samplings = [Sampling(temperature=0.0), Sampling(temperature=2.0, top_p=0.9), Sampling(temperature=0.5, top_p=1.0)]

    def generators() -> list[torch.Generator]:
        return [torch.Generator().manual_seed(seed) for seed in range(3)]

    together, alone = generators(), generators()
    for _ in range(50):
        each = [sample_next_tokens(rows[i : i + 1], samplings[i : i + 1], alone[i : i + 1])[0] for i in range(3)]
        assert sample_next_tokens(rows, samplings, together) == each


def test_a_row_draws_the_same_beside_one_that_needs_the_whole_vocabulary():
    flat, tied = torch.zeros(200), torch.full((200,), -torch.inf)
    tied[[3, 150]] = 0.0
    for seed in range(20):
        rows = [Sampling(temperature=1.0, top_p=1.0)] * 2
        both = sample_next_tokens(
            torch.stack([flat, tied]), rows, [torch.Generator().manual_seed(seed) for _ in range(2)]
        )
        assert both[1] == sample_next_tokens(tied[None], rows[:1], [torch.Generator().manual_seed(seed)])[0]


def test_rounding_that_swaps_tokens_of_one_likelihood_changes_no_draw():
    rounding = torch.tensor([1e-6, -1e-6]).repeat(50)
    one, other = ((torch.zeros(100) + sign * rounding).tolist() for sign in (1, -1))
    assert draws(one, temperature=1.0, top_p=1.0) == draws(other, temperature=1.0, top_p=1.0)


def test_what_is_forbidden_is_never_drawn():
    assert set(draws([0.0, -torch.inf, 0.0], temperature=5.0, top_p=1.0)) == {0, 2}


@pytest.mark.parametrize(
    ("sampling", "message"),
    [
        (Sampling(seed=-1), "seed is -1; expected 0 to"),
        (Sampling(seed=2**64), "seed is 18446744073709551616"),
        (Sampling(max_tokens=0), "max_tokens is 0; expected at least 1"),
        (Sampling(temperature=-1.0), "temperature is -1.0"),
        (Sampling(top_p=10.0), "top_p is 10.0"),
        (Sampling(stop=("",)), "stop string is empty"),
        (Sampling(modalities=()), "modalities is empty"),
        (Sampling(modalities=("imag",)), "Did you mean 'image'"),
        (Sampling(modalities=("video",)), "expected one of text, image"),
        (Sampling(num_inference_steps=0), "steps is 0"),
        (Sampling(num_inference_steps={"image": 10**9}), "expected 1 to 1000"),
        (Sampling(guidance_scale={"sound": 2.0}), "'sound' is unknown"),
    ],
)
def test_settings_that_cannot_be_meant_are_refused(sampling, message):
    with pytest.raises(ConfigError, match=message):
        validate_sampling(sampling, MODALITIES)


def test_defaults_are_fine():
    validate_sampling(Sampling(), MODALITIES)
