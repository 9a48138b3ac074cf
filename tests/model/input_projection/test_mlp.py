"""The two-layer input projection: K soft tokens from any number of vectors, layers shared or one a modality."""

from __future__ import annotations

import torch
from torch.nn import functional

from nextgpt.config import InputProjectionConfig
from nextgpt.model.encoding.base import Features
from nextgpt.model.input_projection import create_input_projection


def small(**settings):
    torch.manual_seed(0)
    config = InputProjectionConfig(kind="mlp", encoder_width=6, **settings)
    return create_input_projection(config, llm_width=4)


@torch.no_grad()
def test_every_vector_goes_through_two_layers_and_the_mean_is_taken_of_what_comes_out():
    projection, vectors = small(soft_tokens=3), torch.randn(5, 6)
    first, _, second = projection.networks["shared"]
    rows = [second(functional.gelu(first(vector))) for vector in vectors]
    soft = projection([Features(vectors)], ["image"])
    torch.testing.assert_close(soft, torch.stack(rows).mean(dim=0).view(1, 3, 4))


@torch.no_grad()
def test_an_item_does_not_depend_on_its_neighbours():
    projection, items = small(), [Features(torch.randn(patches, 6)) for patches in (1, 5)]
    soft = projection(items, ["image", "audio"])
    torch.testing.assert_close(soft[1:], projection(items[1:], ["audio"]))


@torch.no_grad()
def test_layers_are_shared_or_one_a_modality():
    item, separate = [Features(torch.randn(2, 6))], small(shared=False)
    assert torch.equal(small()(item, ["image"]), small()(item, ["audio"]))
    assert not torch.equal(separate(item, ["image"]), separate(item, ["audio"]))


def test_no_items_give_no_soft_tokens():
    assert small(soft_tokens=3)([], []).shape == (0, 3, 4)
