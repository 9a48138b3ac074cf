"""The resampler: learned queries look at all vectors of an item, and become its soft tokens."""

from __future__ import annotations

import pytest
import torch

from nextgpt.config import InputProjectionConfig, ResamplerConfig
from nextgpt.errors import ConfigError
from nextgpt.model.encoding.base import Features
from nextgpt.model.input_projection import ResamplerProjection, create_input_projection
from nextgpt.model.input_projection.linear import INIT_STD

SMALL = ResamplerConfig(width=16, heads=2, layers=2)


def small(**settings: object) -> ResamplerProjection:
    torch.manual_seed(0)
    config = InputProjectionConfig(kind="resampler", encoder_width=6, soft_tokens=3, resampler=SMALL, **settings)
    return create_input_projection(config, llm_width=4).eval()


def items(*counts: int) -> list[Features]:
    generator = torch.Generator().manual_seed(1)
    return [Features(torch.randn(count, 6, generator=generator)) for count in counts]


@torch.no_grad()
def test_every_item_becomes_so_many_soft_tokens_however_many_vectors_it_has():
    assert small()(items(1, 5, 9), ["image", "audio", "image"]).shape == (3, 3, 4)
    assert small()([], []).shape == (0, 3, 4)


@torch.no_grad()
def test_an_item_does_not_depend_on_its_neighbours_and_keeps_its_place():
    projection, features, modalities = (small(shared=False), items(5, 2, 5, 2), ["image", "audio", "image", "video"])
    together = projection(features, modalities)
    alone = [projection([item], [modality]) for item, modality in zip(features, modalities, strict=True)]
    torch.testing.assert_close(together, torch.cat(alone))


@torch.no_grad()
def test_the_order_of_vectors_does_not_matter_and_each_of_them_does():
    projection, (item,) = small(), items(5)
    soft = projection([item], ["image"])
    torch.testing.assert_close(projection([Features(item.vectors.flip(0))], ["image"]), soft)
    for place in range(5):
        changed = item.vectors.clone()
        changed[place] += 1.0
        assert not torch.allclose(projection([Features(changed)], ["image"]), soft)


@torch.no_grad()
def test_soft_tokens_of_an_item_differ_from_each_other():
    soft = small()(items(5), ["image"])[0]
    assert (soft[0] - soft[1]).abs().max() > 1e-3


@torch.no_grad()
def test_networks_are_shared_or_one_a_modality():
    (item,), separate = items(5), small(shared=False)
    assert torch.equal(small()([item], ["image"]), small()([item], ["audio"]))
    assert not torch.equal(separate([item], ["image"]), separate([item], ["audio"]))


@torch.no_grad()
def test_soft_tokens_start_as_quiet_as_words():
    config = InputProjectionConfig(kind="resampler", encoder_width=64, soft_tokens=8)
    torch.manual_seed(0)
    soft = create_input_projection(config, llm_width=256)([Features(torch.randn(50, 64))], ["image"])
    assert 0.5 * INIT_STD < soft.std() < 2 * INIT_STD


def test_gradients_reach_every_parameter():
    projection = small()
    projection(items(5), ["image"]).square().sum().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in projection.parameters())


def test_sizes_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="3 heads do not divide a width of 16"):
        ResamplerConfig(width=16, heads=3)
    with pytest.raises((ConfigError, ValueError), match="sizes of 'resampler' for the kind 'mlp'"):
        InputProjectionConfig(kind="mlp", encoder_width=6, resampler=SMALL)
