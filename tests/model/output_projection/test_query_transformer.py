"""The output projection: the published size, and what it does to shapes."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from nextgpt.config import OutputProjectionConfig
from nextgpt.model.output_projection import create_output_projection


@pytest.mark.parametrize(
    ("queries", "condition_width", "parameters"),
    [(77, 768, 31_958_784), (1, 512, 31_788_544), (77, 1024, 32_090_112)],
    ids=["image", "audio", "video"],
)
def test_the_published_sizes_have_the_published_numbers_of_parameters(queries, condition_width, parameters):
    with torch.device("meta"):
        config = OutputProjectionConfig(queries=queries, condition_width=condition_width)
        projection = create_output_projection(config, llm_width=4096)
    assert sum(parameter.numel() for parameter in projection.parameters()) == parameters


def test_weights_are_named_as_in_the_published_checkpoint():
    with torch.device("meta"):
        projection = create_output_projection(OutputProjectionConfig(queries=77, condition_width=768), llm_width=4096)
    shapes = {name: tuple(tensor.shape) for name, tensor in projection.state_dict().items()}
    assert {name.split(".")[0] for name in shapes} == {"fc", "tfm", "model", "query_embs"}
    assert shapes["fc.weight"] == (512, 4096)
    assert shapes["query_embs"] == (1, 77, 512)
    assert shapes["tfm.encoder.layers.3.linear1.weight"] == (2048, 512)
    assert shapes["tfm.decoder.layers.3.multihead_attn.in_proj_weight"] == (1536, 512)
    assert {"tfm.encoder.norm.weight", "tfm.decoder.norm.bias"} <= shapes.keys()


def tiny_projection():
    torch.manual_seed(0)
    config = OutputProjectionConfig(queries=5, condition_width=6, width=16, layers=1, heads=2, feedforward_width=32)
    return create_output_projection(config, llm_width=8)


def test_every_run_of_signal_tokens_becomes_one_condition_of_its_own():
    projection = tiny_projection()
    hidden, rows = torch.randn(3, 4, 8), torch.randn(4, 8)
    conditions = projection(hidden, rows)
    assert conditions.shape == (3, 5, 6)
    torch.testing.assert_close(conditions[1:2], projection(hidden[1:2], rows))


def test_the_order_of_the_signal_tokens_matters_through_their_rows_alone():
    projection = tiny_projection()
    hidden, rows = torch.randn(1, 4, 8), torch.randn(4, 8)
    torch.testing.assert_close(projection(hidden.flip(1), rows.flip(0)), projection(hidden, rows))
    assert not torch.allclose(projection(hidden.flip(1), rows), projection(hidden, rows))


@pytest.mark.filterwarnings("ignore:enable_nested_tensor")
@torch.no_grad()
def test_it_equals_torchs_transformer_with_the_same_weights():
    torch.manual_seed(0)
    config = OutputProjectionConfig(queries=5, condition_width=6, width=16, layers=3, heads=2, feedforward_width=32)
    ours = create_output_projection(config, llm_width=8).eval()
    for parameter in ours.parameters():  # norms and biases start at 1 and 0, where a mix-up would not show
        parameter.copy_(torch.randn_like(parameter) * 0.3)
    # As published: pre-norm, no dropout, encoder and decoder each with a last norm, time first.
    theirs = nn.Transformer(16, 2, 3, 3, 32, dropout=0.0, norm_first=True, batch_first=False).eval()
    theirs.load_state_dict({name[4:]: t for name, t in ours.state_dict().items() if name.startswith("tfm.")})

    hidden, rows = torch.randn(3, 4, 8), torch.randn(4, 8)
    heard = nn.functional.linear(hidden + rows, ours.fc.weight, ours.fc.bias).transpose(0, 1)  # (S, B, width)
    queries = ours.query_embs.transpose(0, 1).repeat(1, 3, 1)  # (Q, B, width)
    read = theirs(heard, queries).transpose(0, 1)
    expected = nn.functional.linear(read, ours.model.weight, ours.model.bias)
    torch.testing.assert_close(ours(hidden, rows), expected, atol=1e-5, rtol=1e-5)
