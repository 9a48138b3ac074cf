"""The grouping projection: K soft tokens from any number of patches, each of which joins one group."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from transformers import GroupViTVisionConfig
from transformers.models.groupvit.modeling_groupvit import GroupViTStage

from nextgpt.config import GroupingConfig, InputProjectionConfig
from nextgpt.errors import ConfigError
from nextgpt.model.encoding.base import Features
from nextgpt.model.input_projection import GroupingProjection, create_input_projection
from nextgpt.model.input_projection.grouping import GroupAssignment, GroupingNetwork, TransformerBlock

SMALL = GroupingConfig(width=16, heads=2, blocks=(1, 1, 1), groups=(6,))


def small(**settings: object) -> GroupingProjection:
    config = InputProjectionConfig(kind="grouping", encoder_width=6, soft_tokens=3, grouping=SMALL, **settings)
    torch.manual_seed(0)
    return create_input_projection(config, llm_width=4).eval()


def test_the_published_design_gives_8_soft_tokens():
    config = InputProjectionConfig(kind="grouping", encoder_width=1024, soft_tokens=8)
    with torch.device("meta"):
        projection = create_input_projection(config, llm_width=4096)
        soft = projection([Features(torch.empty(256, 1024))], ["image"])
    assert soft.shape == (1, 8, 4096)
    network = projection.networks["shared"]
    assert [len(part) for part in (*(stage.blocks for stage in network.stages), network.blocks)] == [6, 3, 3]
    assert [stage.tokens.shape[1] for stage in network.stages] == [64, 8]
    # Counted on the published module (the paper's Table 1 says 28M), and by hand from its layers, with w = 512 and
    # mlp = 8 w^2 + 5 w: 12 blocks of 4 w^2 + w + mlp + 4 w (q, k, v without bias); 2 groupings with 8 (w^2 + w) of
    # attention and assignment (q, k, v *with* bias), 2 mlp, 12 w of norms, a mixer g -> 256 -> g; 72 w of group tokens;
    # the mixer 64 -> 256 -> 8 with its norm; the layers 1024 -> w and w -> 4096, and the last norm.
    assert sum(parameter.numel() for parameter in projection.parameters()) == 53_144_912


def copy_block(theirs: nn.Module, ours: TransformerBlock) -> None:
    attention = theirs.self_attn
    ours.qkv.weight.copy_(torch.cat([p.weight for p in (attention.q_proj, attention.k_proj, attention.v_proj)]))
    for bias in (attention.q_proj.bias, attention.k_proj.bias, attention.v_proj.bias):
        bias.zero_()  # ours has none, as the published one
    pairs = ((attention.out_proj, ours.out), (theirs.layer_norm1, ours.norm_1), (theirs.layer_norm2, ours.norm_2))
    for source, target in (*pairs, (theirs.mlp.fc1, ours.mlp.fc1), (theirs.mlp.fc2, ours.mlp.fc2)):
        target.load_state_dict(source.state_dict())


def copy_assignment(theirs: nn.Module, ours: GroupAssignment) -> None:
    attention = theirs.pre_assign_attn.attn
    for source, target in (
        (attention.q_proj, ours.cross_attention.query),
        (attention.k_proj, ours.cross_attention.key),
        (attention.v_proj, ours.cross_attention.value),
    ):
        target.load_state_dict(source.state_dict())
    for source, target in (
        (theirs.norm_tokens, ours.norm_groups),
        (theirs.norm_x, ours.norm_patches),
        (theirs.mlp_inter.fc1, ours.mix.fc1),
        (theirs.mlp_inter.fc2, ours.mix.fc2),
        (theirs.norm_post_tokens, ours.norm_mixed),
        (attention.out_proj, ours.cross_attention.out),
        (theirs.pre_assign_attn.norm2, ours.cross_attention.norm_mlp),
        (theirs.pre_assign_attn.norm_post, ours.cross_attention.norm_out),
        (theirs.pre_assign_attn.mlp.fc1, ours.cross_attention.mlp.fc1),
        (theirs.pre_assign_attn.mlp.fc2, ours.cross_attention.mlp.fc2),
        (theirs.assign.q_proj, ours.query),
        (theirs.assign.k_proj, ours.key),
        (theirs.assign.v_proj, ours.value),
        (theirs.assign.proj, ours.out),
        (theirs.norm_new_x, ours.norm_mlp),
        (theirs.mlp_channels.fc1, ours.mlp.fc1),
        (theirs.mlp_channels.fc2, ours.mlp.fc2),
    ):
        target.load_state_dict(source.state_dict())


@torch.no_grad()
def test_the_stages_equal_those_of_transformers_groupvit():
    torch.manual_seed(0)
    config = GroupViTVisionConfig(hidden_size=16, intermediate_size=64, num_attention_heads=2)
    stages = [
        GroupViTStage(config, 2, 0, 6, 6), GroupViTStage(config, 1, 6, 3, 3), GroupViTStage(config, 1, 3, 0, 0)
    ]  # fmt: skip
    network = GroupingNetwork(6, 4, width=16, heads=2, blocks=(2, 1, 1), counts=(6, 3)).eval()
    for stage in stages:
        for parameter in stage.eval().parameters():  # norms and biases start at 1 and 0, where a mix-up would not show
            parameter.copy_(torch.randn_like(parameter) * 0.3)
    for theirs, ours in zip(stages, network.stages, strict=False):
        ours.tokens.copy_(theirs.group_token)
        for source, target in zip(theirs.layers, ours.blocks, strict=True):
            copy_block(source, target)
        copy_assignment(theirs.downsample, ours.assignment)
    network.stages[1].group_mixer[0].load_state_dict(stages[1].group_projector[0].state_dict())
    network.stages[1].group_mixer[1].load_state_dict(stages[1].group_projector[1].state_dict())
    copy_block(stages[2].layers[0], network.blocks[0])

    patches = torch.randn(3, 20, 6)
    states, groups = network.in_proj(patches), None
    for stage in stages:
        states, groups = stage(states, groups)
    torch.testing.assert_close(network(patches), network.out_proj(network.norm(states)), atol=1e-4, rtol=1e-4)


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
        chosen = GroupAssignment(8, 2, 3).train(mode).assign(torch.randn(2, 3, 8), torch.randn(2, 7, 8))
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
    separate = small(shared=False)
    assert not torch.equal(separate(item, ["image"]), separate(item, ["audio"]))


def test_no_items_give_no_soft_tokens():
    assert small()([], []).shape == (0, 3, 4)


def test_sizes_that_do_not_belong_together_are_told():
    from nextgpt.config import parse_config

    values = {"kind": "grouping", "encoder_width": 6, "soft_tokens": 3, "grouping": {"blocks": [1, 1]}}
    with pytest.raises(ConfigError, match="2 stages.*1 numbers? of groups"):
        parse_config(InputProjectionConfig, values, where="config.json")
    with pytest.raises(ConfigError, match="grouping.*linear"):
        parse_config(InputProjectionConfig, {"encoder_width": 6, "grouping": {}}, where="config.json")
