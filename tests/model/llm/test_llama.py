"""The Llama of this package computes what transformers does, from the same folders."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import LlamaConfig, LlamaForCausalLM

from nextgpt import NextGPT
from nextgpt.errors import WeightsError
from nextgpt.model.llm.kv_cache import BatchedKVCache
from nextgpt.model.llm.llama import Llama, is_supported, load_llama
from nextgpt.model.llm.native_loading import load_native_language_model
from nextgpt.testing.model import write_tiny_model

SIZES: dict[str, Any] = {
    "vocab_size": 96, "hidden_size": 48, "intermediate_size": 80, "num_hidden_layers": 3, "num_attention_heads": 6,
    "num_key_value_heads": 2, "max_position_embeddings": 512,
}  # fmt: skip
EXACT = {"rtol": 1e-5, "atol": 1e-5}


def write_llama(folder: Path, **settings: Any) -> tuple[LlamaForCausalLM, dict[str, Any]]:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = LlamaForCausalLM(LlamaConfig(**SIZES | settings)).eval()
    model.save_pretrained(folder)
    return model, json.loads((folder / "config.json").read_text())


@pytest.mark.parametrize("settings", [{}, {"tie_word_embeddings": True, "num_key_value_heads": 6, "head_dim": 16}])
@torch.inference_mode()
def test_padded_prompts_and_steps_match_transformers(tmp_path: Path, settings: dict[str, Any]) -> None:
    library, config = write_llama(tmp_path, **settings)
    ours = load_llama(tmp_path, config)
    embeddings = ours.get_input_embeddings()(torch.arange(1, 25).reshape(2, 12))
    caches = [BatchedKVCache([None, None], torch.device("cpu")) for _ in range(2)]
    is_real = torch.ones(2, 12, dtype=torch.bool)
    is_real[1, :3] = False  # the second row is padded at the left
    positions = (is_real.long().cumsum(dim=1) - 1).clamp(min=0)
    for start, end in ((0, 8), (8, 9), (9, 12)):
        states = []
        for model, cache in zip((ours, library), caches, strict=True):
            result = model.base_model(
                inputs_embeds=embeddings[:, start:end],
                attention_mask=cache.extend(is_real[:, start:end]).long(),
                position_ids=positions[:, start:end],
                past_key_values=cache.cache,
                use_cache=True,
            ).last_hidden_state
            states.append(result[is_real[:, start:end]])
        torch.testing.assert_close(states[0], states[1], **EXACT)
    logits = [model.get_output_embeddings()(states[0]) for model in (ours, library)]
    torch.testing.assert_close(logits[0], logits[1], **EXACT)


@torch.inference_mode()
def test_without_a_cache_it_matches_too(tmp_path: Path) -> None:
    library, config = write_llama(tmp_path)
    ours = load_llama(tmp_path, config)
    inputs = {
        "inputs_embeds": torch.randn(1, 7, 48), "attention_mask": torch.ones(1, 7, dtype=torch.long),
        "position_ids": torch.arange(7)[None],
    }  # fmt: skip
    states = [model.base_model(**inputs, use_cache=False).last_hidden_state for model in (ours, library)]
    torch.testing.assert_close(states[0], states[1], **EXACT)


def test_damaged_and_other_weights_are_refused(tmp_path: Path) -> None:
    _, config = write_llama(tmp_path)
    path = tmp_path / "model.safetensors"
    tensors = load_file(path)
    tensors["model.norm.bias"] = tensors.pop("model.norm.weight")
    save_file(tensors, path)
    with pytest.raises(WeightsError, match=r"1 missing: model\.norm\.weight; 1 unexpected: model\.norm\.bias"):
        load_llama(tmp_path, config)
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(WeightsError, match=r"model\.safetensors is damaged"):
        load_llama(tmp_path, config)


@pytest.mark.parametrize(
    "settings",
    [
        {"model_type": "mistral"}, {"attention_bias": True}, {"hidden_act": "gelu"}, {"quantization_config": {}},
        {"rope_parameters": {"rope_type": "llama3", "rope_theta": 1e4}}, {"rope_parameters": None},
    ],
)  # fmt: skip
def test_other_configs_are_left_to_transformers(tmp_path: Path, settings: dict[str, Any]) -> None:
    config = LlamaConfig(**SIZES).to_dict()
    assert is_supported(config) and not is_supported(config | settings)


@pytest.mark.parametrize("missing", ["model.safetensors", "tokenizer.json", "config.json"])
def test_incomplete_folders_are_left_to_transformers(tmp_path: Path, missing: str) -> None:
    shutil.copytree(write_tiny_model(tmp_path / "model") / "llm", tmp_path / "llm")
    assert load_native_language_model(tmp_path / "llm", template="nano", soft_tokens=1) is not None
    (tmp_path / "llm" / missing).unlink()
    assert load_native_language_model(tmp_path / "llm", template="nano", soft_tokens=1) is None


def test_nano_replies_as_with_transformers() -> None:
    ours, library = NextGPT.from_pretrained("nano"), NextGPT.from_pretrained("nano", dtype="float32")
    assert isinstance(ours.llm.transformer, Llama) and not isinstance(library.llm.transformer, Llama)
    messages = ["What can you do?", "Tell me about a bell."]
    for mine, theirs in zip(ours.chat_batch(messages), library.chat_batch(messages), strict=True):
        assert [part.modality for part in mine.parts] == [part.modality for part in theirs.parts]
        assert mine.text == theirs.text
