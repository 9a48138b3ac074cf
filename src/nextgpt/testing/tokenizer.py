"""A byte-level tokenizer made in memory: every text has a spelling, nothing is read from disk."""

from __future__ import annotations

from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

MARKERS = ("<|pad|>", "<|system|>", "<|user|>", "<|assistant|>", "<|end|>")


def tiny_tokenizer() -> PreTrainedTokenizerFast:
    """One token a byte (ids 0-255), then the markers of the template ``nano``."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    backend = Tokenizer(models.BPE(vocab={letter: index for index, letter in enumerate(alphabet)}, merges=[]))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend, eos_token="<|end|>", pad_token="<|pad|>")
    tokenizer.add_special_tokens({"additional_special_tokens": list(MARKERS)})
    return tokenizer
