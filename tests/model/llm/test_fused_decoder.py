"""The fused decoder computes the same as transformers' own layers, alone and in batches that change."""

from __future__ import annotations

import copy
import gc
from pathlib import Path

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from nextgpt import NextGPT, Sampling
from nextgpt.model.fused_linear import FusedDtype
from nextgpt.model.llm import fused_decoder
from nextgpt.model.llm.fused_decoder import FusedDecoder, can_fuse, rotate, rotation_matrix
from nextgpt.model.llm.kv_cache import BatchedKVCache
from nextgpt.model.llm.llama import Llama
from nextgpt.model.llm.loading import load_language_model
from nextgpt.model.llm.native_loading import load_native_language_model
from nextgpt.testing.language_model import tiny_language_model
from nextgpt.testing.model import write_tiny_model

CONFIG = LlamaConfig(
    vocab_size=96, hidden_size=48, intermediate_size=80, num_hidden_layers=3, num_attention_heads=6,
    num_key_value_heads=2, max_position_embeddings=512, tie_word_embeddings=True,
)  # fmt: skip


def llama(seed: int = 0) -> LlamaForCausalLM:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = LlamaForCausalLM(CONFIG).eval()
        for parameter in model.parameters():  # exact in bfloat16, so that both models have the same weights
            parameter.data = parameter.data.mul(4).bfloat16().float()
    return model


def relative_error(actual: torch.Tensor, expected: torch.Tensor) -> float:
    return float((actual.float() - expected).norm() / expected.norm())


@pytest.mark.parametrize(("dtype", "tolerance"), [("bfloat16", 0.03), ("int8", 0.1), ("int8_fbgemm", 0.1)])
@torch.inference_mode()
def test_prefill_and_steps_match_the_plain_model(dtype: FusedDtype, tolerance: float) -> None:
    plain = llama()
    embeddings = plain.get_input_embeddings()(torch.arange(1, 21)[None])
    expected = plain.model(inputs_embeds=embeddings).last_hidden_state
    decoder = FusedDecoder(copy.deepcopy(plain), dtype=dtype)
    cache = BatchedKVCache([None], torch.device("cpu"))
    actual = [
        decoder(
            embeddings[:, a:b],
            cache.extend(torch.ones(1, b - a, dtype=torch.bool)),
            torch.arange(a, b)[None],
            cache.cache,
        )
        for a, b in ((0, 14), (14, 15), (15, 18), (18, 19), (19, 20))
    ]
    assert relative_error(torch.cat(actual, dim=1), expected) < tolerance
    assert relative_error(decoder.head(expected.bfloat16()), plain.lm_head(expected)) < tolerance


@pytest.mark.parametrize("dtype", ["bfloat16", "int8", "int8_fbgemm"])
def test_layers_are_compiled_for_one_new_position(dtype: FusedDtype) -> None:
    for layer in FusedDecoder(llama(), dtype=dtype).layers:
        assert isinstance(layer._next_row, torch.jit.ScriptModule)


@pytest.mark.parametrize("dtype", ["bfloat16", "int8_fbgemm"])
@torch.inference_mode()
def test_rows_padded_at_the_left_equal_single_rows(dtype: FusedDtype) -> None:
    decoder = FusedDecoder(llama(), dtype=dtype)
    rows = [torch.randn(length, 48, generator=torch.Generator().manual_seed(length)) for length in (5, 9)]
    alone = []
    for row in rows:
        cache = BatchedKVCache([None], torch.device("cpu"))
        mask = cache.extend(torch.ones(1, len(row), dtype=torch.bool))
        alone.append(decoder(row[None], mask, torch.arange(len(row))[None], cache.cache)[0, -1])
    cache = BatchedKVCache([None, None], torch.device("cpu"))
    padded = torch.stack([torch.cat([torch.zeros(4, 48), rows[0]]), rows[1]])
    mask = torch.tensor([[False] * 4 + [True] * 5, [True] * 9])
    positions = (mask.long().cumsum(dim=1) - 1).clamp(min=0)
    together = decoder(padded, cache.extend(mask), positions, cache.cache)[:, -1]
    torch.testing.assert_close(together.float(), torch.stack(alone).float(), atol=0.03, rtol=0.03)
    step = torch.randn(2, 1, 48, generator=torch.Generator().manual_seed(1))
    mask = cache.extend(torch.ones(2, 1, dtype=torch.bool))
    actual = decoder(step, mask, torch.tensor([[5], [9]]), cache.cache)[0]
    alone_cache = BatchedKVCache([None], torch.device("cpu"))
    for states, position in ((rows[0][None], torch.arange(5)), (step[:1], torch.tensor([5]))):
        mask = alone_cache.extend(torch.ones(1, len(position), dtype=torch.bool))
        expected = decoder(states, mask, position[None], alone_cache.cache)[0]
    assert relative_error(actual, expected[-1:].float()) < 0.02


def test_a_rotation_is_the_same_as_a_product_with_its_matrix() -> None:
    angles = torch.rand(3, 1, 1, 8) * 100
    cos, sin = (torch.cat([part, part], dim=-1) for part in (angles.cos(), angles.sin()))
    sin = sin * torch.tensor([-1.0] * 8 + [1.0] * 8)
    x = torch.randn(3, 1, 5, 16)
    product = x.squeeze(1) @ rotation_matrix(cos.squeeze(1), sin.squeeze(1))
    torch.testing.assert_close(product, rotate(x, cos, sin).squeeze(1))


@torch.inference_mode()
def test_adapters_are_merged_before_weights_are_rounded() -> None:
    plain = llama()
    generator = torch.Generator().manual_seed(1)
    adapters = {
        "model.layers.1.mlp.up_proj.A": torch.randn(2, 48, generator=generator),
        "model.layers.1.mlp.up_proj.B": torch.randn(80, 2, generator=generator),
    }
    embeddings = plain.get_input_embeddings()(torch.arange(1, 9)[None])
    decoder = FusedDecoder(copy.deepcopy(plain), dtype="bfloat16", adapters=adapters, adapter_scale=0.5)
    unchanged = plain.model(inputs_embeds=embeddings).last_hidden_state
    up = plain.model.layers[1].mlp.up_proj.weight
    up += 0.5 * adapters["model.layers.1.mlp.up_proj.B"] @ adapters["model.layers.1.mlp.up_proj.A"]
    expected = plain.model(inputs_embeds=embeddings).last_hidden_state
    cache = BatchedKVCache([None], torch.device("cpu"))
    actual = decoder(embeddings, cache.extend(torch.ones(1, 8, dtype=torch.bool)), torch.arange(8)[None], cache.cache)
    assert relative_error(actual, expected) < 0.03 < relative_error(unchanged, expected)


def test_no_weights_are_in_memory_twice() -> None:
    plain = llama()
    FusedDecoder(plain, dtype="int8")
    assert not any(True for layer in plain.model.layers for _ in layer.parameters())


@pytest.mark.skipif(not Path("/proc/self/maps").is_file(), reason="lists mapped files on Linux alone")
def test_the_weights_file_does_not_stay_in_memory(tmp_path: Path) -> None:
    llama().save_pretrained(tmp_path)
    transformer = LlamaForCausalLM.from_pretrained(tmp_path, dtype=torch.float32)

    def is_mapped() -> bool:
        return str(tmp_path / "model.safetensors") in Path("/proc/self/maps").read_text()

    assert is_mapped()
    decoder = FusedDecoder(transformer, dtype="int8")
    gc.collect()
    assert decoder.layers and not is_mapped()


@pytest.mark.parametrize("changed", [{"attention_bias": True}, {"mlp_bias": True}, {"hidden_act": "gelu"}])
def test_other_architectures_are_not_fused(changed: dict[str, object]) -> None:
    assert can_fuse(CONFIG)
    assert not can_fuse(LlamaConfig(**(CONFIG.to_dict() | changed)))


@torch.inference_mode()
def test_a_fused_language_model_computes_the_same_with_and_without_a_cache() -> None:
    reference = tiny_language_model()
    fused = tiny_language_model()
    fused._fused_dtype = "bfloat16"
    generator = torch.Generator().manual_seed(3)
    layer = reference.transformer.get_submodule("model.layers.0.self_attn.q_proj")
    adapters = {
        "model.layers.0.self_attn.q_proj.A": torch.randn(2, layer.in_features, generator=generator),
        "model.layers.0.self_attn.q_proj.B": torch.randn(layer.out_features, 2, generator=generator),
    }
    for llm in (reference, fused):
        llm.merge_lora(adapters, alpha=2.0, rank=2)
    ids = [1, 2, 3, 4]
    inputs = reference.embed_ids(ids)[None], torch.ones(1, 4, dtype=torch.bool), torch.arange(4)[None]
    expected = reference.hidden_states(*inputs)
    assert relative_error(fused.hidden_states(*inputs), expected) < 0.05
    cache = BatchedKVCache([None], torch.device("cpu"))
    cache.extend(inputs[1])
    assert relative_error(fused.hidden_states(*inputs, cache.cache), expected) < 0.05
    assert relative_error(fused.logits(expected), reference.logits(expected)) < 0.05


def test_a_model_is_fused_by_default_in_the_fastest_dtype(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write_tiny_model(tmp_path / "model")
    monkeypatch.setattr(fused_decoder, "fastest_decoding_dtype", lambda: "int8")
    assert NextGPT.from_pretrained(folder).llm._fused_dtype is None, "small LLMs are not fused"
    monkeypatch.setattr(fused_decoder, "MIN_FUSED_WIDTH", 1)
    assert NextGPT.from_pretrained(folder, dtype="float32").llm._fused_dtype is None
    model = NextGPT.from_pretrained(folder)
    assert model.llm._fused_dtype == "int8"
    sampling = Sampling(max_tokens=6, modalities=("text",))
    texts = [reply.text for reply in model.chat_batch(["hello", "draw a cat please", "hello"], sampling)]
    assert texts[0] == texts[2] == model.chat("hello", sampling).text
    monkeypatch.setattr(fused_decoder, "fastest_decoding_dtype", lambda: "float32")
    assert NextGPT.from_pretrained(folder).llm._fused_dtype is None


@torch.inference_mode()
def test_both_loaders_give_the_same_fused_decoder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write_tiny_model(tmp_path / "model") / "llm"
    monkeypatch.setattr(fused_decoder, "fastest_decoding_dtype", lambda: "bfloat16")
    monkeypatch.setattr(fused_decoder, "MIN_FUSED_WIDTH", 1)
    settings = {"template": "chatml", "soft_tokens": 1, "context_length": 64}
    native = load_native_language_model(folder, **settings)
    library = load_language_model(folder, use_fused_decoder=True, **settings)
    assert native is not None and isinstance(native.transformer, Llama)
    embeddings = native.embed_ids([1, 2, 3, 4, 5])[None]
    inputs = embeddings, torch.ones(1, 5, dtype=torch.bool), torch.arange(5)[None]
    states = [llm.hidden_states(*inputs) for llm in (native, library)]
    assert torch.equal(*states)
