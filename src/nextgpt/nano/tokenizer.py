"""Byte-level BPE tokenizers, trained on texts of the small world."""

from __future__ import annotations

from collections.abc import Iterable

from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

PAD, BEGIN, END = "<|pad|>", "<|begin|>", "<|end|>"


def train_tokenizer(
    texts: Iterable[str],
    vocabulary: int,
    *,
    markers: tuple[str, ...] = (),
    for_captions: bool = False,
    is_lower_case: bool = False,
) -> PreTrainedTokenizerFast:
    """Train a tokenizer that can encode every text; frequent words become single tokens.

    Args:
        vocabulary: Number of tokens, of which 256 are bytes.
        markers: Special tokens besides padding, begin and end, such as the roles of a conversation.
        for_captions: Append the end token to every text, as text encoders need, and encode the first word like any
            other.
        is_lower_case: Make all texts lower case.
    """
    specials = [PAD, BEGIN, END, *markers]
    tokenizer = Tokenizer(models.BPE())
    if is_lower_case:
        tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=for_captions)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=specials,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    if for_captions:
        end = tokenizer.token_to_id(END)
        tokenizer.post_processor = processors.TemplateProcessing(single=f"$A {END}", special_tokens=[(END, end)])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token=PAD,
        bos_token=BEGIN,
        eos_token=END,
        additional_special_tokens=list(markers),
        clean_up_tokenization_spaces=False,
    )
