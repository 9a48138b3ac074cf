"""A tiny random Llama with a byte-level tokenizer."""

from __future__ import annotations

import torch
from transformers import LlamaConfig, LlamaForCausalLM

from nextgpt.model.llm.language_model import LanguageModel
from nextgpt.prompt_template import TEMPLATES, Template
from nextgpt.testing.tokenizer import tiny_tokenizer


def tiny_language_model(
    *, template: Template = TEMPLATES["nano"], soft_tokens: int = 1, context_length: int = 512, seed: int = 0
) -> LanguageModel:
    """Two layers of width 32 that generate random bytes; the same seed gives the same weights."""
    tokenizer = tiny_tokenizer()
    settings = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=context_length,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        initializer_range=0.3,
    )
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        transformer = LlamaForCausalLM(settings).eval()
        llm = LanguageModel(transformer, tokenizer, template, soft_tokens=soft_tokens, context_length=context_length)
    return llm.eval()
