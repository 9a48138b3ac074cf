"""The grouping projection: K soft tokens from any number of patches, each of which joins one group."""

from __future__ import annotations

import pytest
import torch

from nextgpt.config import GroupingConfig, InputProjectionConfig
from nextgpt.errors import ConfigError
from nextgpt.model.encoding.base import Features
from nextgpt.model.input_projection import GroupingProjection, create_input_projection
from nextgpt.model.input_projection.grouping import Gather

SMALL = GroupingConfig(width=16, heads=2, blocks=(1, 1, 1), groups=(6,))


def small(**settings: object) -> GroupingProjection:
    config = InputProjectionConfig(
        kind="grouping", encoder_width=6, soft_tokens=3, grouping=SMALL, **settings
    )
    torch.manual_seed(0)
    return create_input_projection(config, llm_width=4).eval()


def test_the_published_design_gives_8_soft_tokens():
    config = InputProjectionConfig(kind="grouping", encoder_width=1024, soft_tokens=8)
    with torch.device("meta"):
        projection = create_input_projection(config, llm_width=4096)
        soft = projection([Features(torch.empty(256, 1024))], ["image"])
    assert soft.shape == (1, 8, 4096)
    depths = [stage.trunk for stage in projection.networks["shared"][1:3]] + [projection.networks["shared"][3]]
    assert [len(trunk.blocks) for trunk in depths] == [6, 3, 3]
    assert [stage.tokens.shape[1] for stage in projection.networks["shared"][1:3]] == [64, 8]


@pytest.mark.parametrize("patches", [1, 5, 40])
def test_any_number_of_patches_becomes_k_soft_tokens(patches):
    assert small()([Features(torch.randn(patches, 6))], ["image"]).shape == (1, 3, 4)


@torch.no_grad()
def test_an_item_does_not_depend_on_its_neighbours():
    projection = small()
    items = [Features(torch.randn(count, 6)) for count in (4, 9)]
    together = projection(items, ["image", "audio"])
    torch.testing.assert_close(together[1:], projection(items[1:], ["audio"]))


@torch.no_grad()
def test_the_order_of_patches_does_not_matter_as_they_have_no_positions():
    projection, patches = small(), torch.randn(9, 6)
    turned = projection([Features(patches.flip(0))], ["image"])
    torch.testing.assert_close(turned, projection([Features(patches)], ["image"]))


@torch.no_grad()
def test_every_patch_joins_exactly_one_group():
    torch.manual_seed(0)
    for mode in (True, False):
        chosen = Gather(8).train(mode).choose(torch.randn(2, 3, 8), torch.randn(2, 7, 8))
        torch.testing.assert_close(chosen.sum(dim=1), torch.ones(2, 7))
        torch.testing.assert_close(chosen.max(dim=1).values, torch.ones(2, 7))


@torch.no_grad()
def test_answers_are_not_drawn_and_training_is():
    projection, item = small(), [Features(torch.randn(20, 6))]
    assert torch.equal(projection(item, ["image"]), projection(item, ["image"]))
    projection.train()
    assert not torch.equal(projection(item, ["image"]), projection(item, ["image"]))


def test_every_parameter_learns():
    projection = small().train()
    projection([Features(torch.randn(20, 6))], ["image"]).square().sum().backward()
    assert [name for name, p in projection.named_parameters() if p.grad is None or not p.grad.any()] == []


def test_networks_are_shared_or_one_a_modality():
    item = [Features(torch.randn(5, 6))]
    assert torch.equal(small()(item, ["image"]), small()(item, ["audio"]))
    separate = small(is_shared=False)
    assert not torch.equal(separate(item, ["image"]), separate(item, ["audio"]))


def test_no_items_give_no_soft_tokens():
    assert small()([], []).shape == (0, 3, 4)


def test_sizes_that_do_not_belong_together_are_told():
    from nextgpt.config import parse

    values = {"kind": "grouping", "encoder_width": 6, "soft_tokens": 3, "grouping": {"blocks": [1, 1]}}
    with pytest.raises(ConfigError, match="2 stages.*1 number of groups"):
        parse(InputProjectionConfig, values, where="config.json")
    with pytest.raises(ConfigError, match="grouping.*linear"):
        parse(InputProjectionConfig, {"encoder_width": 6, "grouping": {}}, where="config.json")
