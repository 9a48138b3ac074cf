"""Projections that start from those of another model do at once what those do."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from nextgpt.errors import ConfigError
from nextgpt.model.input_projection.resampler import Resampler
from nextgpt.nano.projection_start import fit_linear, signal_states, start_input_network, start_output_projection
from nextgpt.testing.model import tiny_model

WORDS = [
    f"{color} {thing}" for color in ("red", "blue", "dark", "my", "an old") for thing in ("cat", "dog", "sea", "car")
]


def test_the_ridge_regression_recovers_a_linear_map() -> None:
    generator = torch.Generator().manual_seed(0)
    inputs, true = torch.randn(500, 6, generator=generator) + 2, nn.Linear(6, 3)
    layer = nn.Linear(6, 3)
    fit_linear(layer, inputs, true(inputs).detach())
    assert torch.allclose(layer.weight, true.weight, atol=0.01) and torch.allclose(layer.bias, true.bias, atol=0.05)


def test_soft_tokens_are_near_their_targets_where_they_have_one() -> None:
    torch.manual_seed(0)
    sizes = {"queries": 2, "width": 16, "heads": 2, "layers": 1}
    source, network = Resampler(5, 4, **sizes), Resampler(5, 7, **sizes)
    vectors = torch.randn(300, 3, 5)
    targets = source(vectors).detach() @ torch.randn(4, 7)
    mask = torch.ones(300, 2, dtype=torch.bool)
    mask[:, 1], targets[:, 1] = False, 5.0
    start_input_network(network, source, vectors, targets, mask)
    error = (network(vectors) - targets).square().mean(dim=(0, 2)) / targets.var()
    assert error[0] < 0.01 < error[1]


def test_states_that_hold_the_same_give_the_same_conditions() -> None:
    model, source = tiny_model(seed=1), tiny_model()
    states = signal_states(source, "image", WORDS) + source.llm.span_embeddings("image")
    expected = source.output_projections["image"](states, torch.zeros_like(states[0]))
    rotation = torch.linalg.qr(
        torch.randn(states.shape[-1], states.shape[-1], generator=torch.Generator().manual_seed(0))
    )
    hidden = 3 * states @ rotation.Q - model.llm.span_embeddings("image")
    before = (model.project_conditions("image", hidden) - expected).square().mean()
    start_output_projection(model, source, "image", hidden, WORDS)
    after = (model.project_conditions("image", hidden) - expected).square().mean()
    assert after < 0.05 * before


def test_states_are_those_after_the_words() -> None:
    model = tiny_model()
    one, other, again = signal_states(model, "audio", ["a cat", "a dog", "a cat"])
    assert torch.equal(one, again) and not torch.allclose(one, other)


def test_another_architecture_is_refused() -> None:
    sizes = {"queries": 2, "heads": 2, "layers": 1}
    with pytest.raises(ConfigError, match="differ in more than the layer leave"):
        network, source = Resampler(5, 7, width=16, **sizes), Resampler(5, 4, width=8, **sizes)
        start_input_network(
            network, source, torch.zeros(1, 3, 5), torch.zeros(1, 2, 7), torch.ones(1, 2, dtype=torch.bool)
        )
