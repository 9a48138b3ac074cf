"""A byte-level tokenizer made in memory: every text has a spelling, nothing is read from disk."""

from __future__ import annotations

from pathlib import Path

from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

MARKERS = ("<|pad|>", "<|system|>", "<|user|>", "<|assistant|>", "<|end|>")


def tiny_tokenizer() -> PreTrainedTokenizerFast:
    """Byte-level tokenizer: ids 0-255 are bytes, then follow the markers of the template ``nano``."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    backend = Tokenizer(models.BPE(vocab={letter: index for index, letter in enumerate(alphabet)}, merges=[]))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend, eos_token="<|end|>", pad_token="<|pad|>")
    tokenizer.add_special_tokens({"additional_special_tokens": list(MARKERS)})
    return tokenizer


def write_llama_tokenizer(path: Path) -> None:
    """Train a small SentencePiece BPE with LLaMA's settings and write it as ``tokenizer.model``."""
    import io

    from sentencepiece import SentencePieceTrainer

    words = [
        "###",
        "###",
        "human",
        "assistant",
        "image",
        "sound",
        "dog",
        "cat",
        "red",
        "blue",
        "a",
        "the",
        "of",
        "is",
        "look",
        "here",
        "generate",
        "caption",
    ]
    sentences = (" ".join(words[(i * j) % len(words)] for j in range(1, 9)) for i in range(400))
    model = io.BytesIO()
    SentencePieceTrainer.train(
        sentence_iterator=sentences, model_writer=model, vocab_size=400, hard_vocab_limit=False, model_type="bpe",
        byte_fallback=True, character_coverage=1.0, normalization_rule_name="identity", split_digits=True,
        remove_extra_whitespaces=False, unk_id=0, bos_id=1, eos_id=2, pad_id=-1, minloglevel=2,
    )  # fmt: skip
    path.write_bytes(model.getvalue())
