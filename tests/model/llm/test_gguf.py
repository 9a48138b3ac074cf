"""A GGUF file becomes a folder that the LLM loader reads: weights, tokenizer and config."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from nextgpt.errors import ModelError
from nextgpt.model.llm.gguf import convert_gguf
from nextgpt.model.llm.loading import load_language_model

gguf = pytest.importorskip("gguf", reason="needs pip install --no-deps gguf")

WIDTH, HIDDEN, HEADS, KV_HEADS, LAYERS = 32, 64, 4, 2, 2
TOKENS = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", *map(chr, range(97, 123)), "Ġ", "ab"]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A Llama with random weights and a tokenizer of letters."""
    path = tmp_path / "tiny.gguf"
    writer = gguf.GGUFWriter(str(path), "llama")
    writer.add_context_length(64)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(LAYERS)
    writer.add_feed_forward_length(HIDDEN)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(KV_HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_dimension_count(WIDTH // HEADS)
    writer.add_vocab_size(len(TOKENS))
    writer.add_tokenizer_model("gpt2")
    writer.add_token_list(TOKENS)
    writer.add_token_types([3, 3, 3, *[1] * (len(TOKENS) - 3)])
    writer.add_token_merges(["a b"])
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    rng = np.random.default_rng(0)
    kv_width = WIDTH // HEADS * KV_HEADS
    shapes = {"token_embd": (len(TOKENS), WIDTH), "output_norm": (WIDTH,)}
    for number in range(LAYERS):
        block = f"blk.{number}"
        shapes |= {f"{block}.attn_norm": (WIDTH,), f"{block}.ffn_norm": (WIDTH,)}
        shapes |= {f"{block}.attn_q": (WIDTH, WIDTH), f"{block}.attn_output": (WIDTH, WIDTH)}
        shapes |= {f"{block}.attn_k": (kv_width, WIDTH), f"{block}.attn_v": (kv_width, WIDTH)}
        shapes |= {f"{block}.ffn_gate": (HIDDEN, WIDTH), f"{block}.ffn_up": (HIDDEN, WIDTH)}
        shapes |= {f"{block}.ffn_down": (WIDTH, HIDDEN)}
    for name, shape in shapes.items():
        writer.add_tensor(f"{name}.weight", rng.normal(size=shape).astype(np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def test_weights_and_tokenizer_are_converted(file: Path, tmp_path: Path) -> None:
    folder = tmp_path / "llm"
    convert_gguf(file, folder)
    llm = load_language_model(folder, template="chatml", soft_tokens=1)
    assert (llm.hidden_size, len(llm.transformer.model.layers)) == (WIDTH, LAYERS)
    tensors = {tensor.name: tensor.data for tensor in gguf.GGUFReader(str(file)).tensors}
    expected = torch.from_numpy(tensors["token_embd.weight"].copy()).bfloat16().float()
    torch.testing.assert_close(llm.transformer.get_input_embeddings().weight, expected)
    down = llm.transformer.model.layers[1].mlp.down_proj.weight
    torch.testing.assert_close(down, torch.from_numpy(tensors["blk.1.ffn_down.weight"].copy()).bfloat16().float())
    assert llm.tokenizer.hf_tokenizer.encode("<|im_start|>abc<|im_end|>") == [
        1,
        TOKENS.index("ab"),
        TOKENS.index("c"),
        2,
    ]


def test_a_file_that_is_no_gguf_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "broken.gguf").write_bytes(b"GGUF")
    with pytest.raises(ModelError, match="cannot be converted"):
        convert_gguf(tmp_path / "broken.gguf", tmp_path / "llm")
