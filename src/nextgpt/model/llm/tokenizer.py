"""Tokenizer wrapper that keeps user text plain text.

User text never becomes a special token: a special token found in it is spelled out in characters. Only template
strings may contain special tokens.
"""

from __future__ import annotations

import re
from functools import cached_property, lru_cache

from transformers import PreTrainedTokenizerBase

from nextgpt.errors import ModelError

CACHED_TEXTS, MAX_CACHED_CHARS = 4096, 256
"""Number and maximum length of texts with cached token ids: template strings and earlier turns."""


BLANKS = ("\u2581", "\u0120", " ")
"""Written forms of a blank in vocabularies: SentencePiece, byte-level BPE, plain."""


def blank_token_id(tokenizer: PreTrainedTokenizerBase) -> int:
    """Return the id of a single blank, 29871 in LLaMA. Raises :class:`ModelError` if it is no token."""
    vocabulary = tokenizer.get_vocab()
    for blank in BLANKS:
        if blank in vocabulary:
            return vocabulary[blank]
    raise ModelError(
        "The tokenizer has no token of a single blank, which separates signal tokens under the quirks nextgpt_2024; "
        "expected that of LLaMA. Name the LLM that the checkpoint was trained with."
    )


class SafeTokenizer:
    """Encodes user text and template strings by separate methods."""

    def __init__(self, hf_tokenizer: PreTrainedTokenizerBase) -> None:
        self.hf_tokenizer = hf_tokenizer
        self._cached_encode = lru_cache(CACHED_TEXTS)(self._encode_uncached)

    def __reduce__(self) -> tuple[type[SafeTokenizer], tuple[PreTrainedTokenizerBase]]:
        return type(self), (self.hf_tokenizer,)  # without the cache

    def encode(self, text: str) -> list[int]:
        """Encode user text; special and added tokens in it are spelled out."""
        encode = self._cached_encode if len(text) <= MAX_CACHED_CHARS else self._encode_uncached
        return list(encode(text))

    def split_special_tokens(self, text: str) -> list[str | int]:
        """Split a template string at its special tokens: ``"</s>USER: "`` gives ``[2, "USER: "]``."""
        pieces = re.split(self._special_token_pattern, text) if self._special_tokens else [text]
        return [self._special_tokens.get(piece, piece) for piece in pieces if piece]

    def decode(self, ids: list[int]) -> str:
        """Decode token ids without special tokens; an incomplete character becomes ``\\ufffd``."""
        return str(self.hf_tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False))

    @cached_property
    def special_ids(self) -> frozenset[int]:
        """Ids of the special tokens, which are never generated as text."""
        added = self.hf_tokenizer.added_tokens_decoder
        return frozenset(token_id for token_id, token in added.items() if token.special)

    @cached_property
    def longest_token_chars(self) -> int:
        """Length of the longest token, so a text of n characters has at least n / this tokens."""
        return max(len(token) for token in self.hf_tokenizer.get_vocab())

    def _encode_uncached(self, text: str) -> tuple[int, ...]:
        return tuple(
            piece for token_id in self._tokenize(text) for piece in self._spelled_out_ids.get(token_id, (token_id,))
        )

    def _tokenize(self, text: str) -> list[int]:
        # Tokenizers reject lone surrogates, which JSON may contain.
        text = text.encode("utf-8", errors="replace").decode("utf-8")
        encoding = self.hf_tokenizer(text, add_special_tokens=False, split_special_tokens=True, verbose=False)
        return list(encoding["input_ids"])

    @cached_property
    def _special_tokens(self) -> dict[str, int]:
        added = self.hf_tokenizer.added_tokens_decoder
        return {token.content: token_id for token_id, token in added.items()}

    @cached_property
    def _special_token_pattern(self) -> str:
        longest_first = sorted(self._special_tokens, key=len, reverse=True)
        return "(" + "|".join(re.escape(token) for token in longest_first) + ")"

    @cached_property
    def _spelled_out_ids(self) -> dict[int, tuple[int, ...]]:
        """Ids of the characters of each added token. An added token of one character cannot be spelled out."""
        spelled_out = {}
        for content, token_id in self._special_tokens.items():
            pieces = tuple(piece for character in content for piece in self._tokenize(character))
            if token_id not in pieces:
                spelled_out[token_id] = pieces
        return spelled_out
