"""The linear input projection: the published size, K soft tokens, layers shared or one a modality."""

from __future__ import annotations

import pytest
import torch

from nextgpt.config import InputProjectionConfig
from nextgpt.model.encoding.base import Features
from nextgpt.model.input_projection import LinearProjection, create_input_projection


def test_the_published_size_has_the_published_number_of_parameters():
    with torch.device("meta"):
        projection = create_input_projection(InputProjectionConfig(encoder_width=1024), llm_width=4096)
    assert sum(parameter.numel() for parameter in projection.parameters()) == 4_198_400


def test_several_items_stay_separate():
    projection = create_input_projection(InputProjectionConfig(encoder_width=6, soft_tokens=3), llm_width=4)
    items = [Features(torch.randn(patches, 6)) for patches in (1, 5)]
    soft = projection(items, ["image", "audio"])
    assert soft.shape == (2, 3, 4)
    torch.testing.assert_close(soft[1:], projection(items[1:], ["audio"]))


def test_patches_of_one_item_are_pooled():
    projection = create_input_projection(InputProjectionConfig(encoder_width=6), llm_width=4)
    patches = torch.randn(5, 6)
    pooled = Features(patches.mean(dim=0, keepdim=True))
    torch.testing.assert_close(projection([Features(patches)], ["video"]), projection([pooled], ["video"]))


def test_a_shared_layer_does_not_ask_for_the_modality_and_separate_ones_do():
    item = [Features(torch.randn(1, 6))]
    shared = create_input_projection(InputProjectionConfig(encoder_width=6), llm_width=4)
    separate = create_input_projection(InputProjectionConfig(encoder_width=6, shared=False), llm_width=4)
    assert torch.equal(shared(item, ["image"]), shared(item, ["audio"]))
    assert not torch.equal(separate(item, ["image"]), separate(item, ["audio"]))


def test_no_items_give_no_soft_tokens():
    projection = create_input_projection(InputProjectionConfig(encoder_width=6, soft_tokens=3), llm_width=4)
    assert projection([], []).shape == (0, 3, 4)


def test_soft_tokens_start_as_quiet_as_words():
    features = [Features(torch.randn(1, 512)) for _ in range(64)]
    spread = LinearProjection(512, 256)(features, ["image"] * 64).std().item()
    assert spread == pytest.approx(0.03, rel=0.15)
