"""Words to token ids and back, so that what a person writes stays words.

A person's text never becomes a special token, whatever it contains: if the tokenizer finds one in it, that token is
spelled out in pieces. Only the template's strings may hold special tokens.
"""

from __future__ import annotations

import re
from functools import cached_property, lru_cache

from transformers import PreTrainedTokenizerBase

CACHED_TEXTS, MAX_CACHED_CHARS = 4096, 256
"""How many texts are not tokenized again, and how long they may be: templates, turns that were said, small corpora."""


class SafeTokenizer:
    """A tokenizer with two doors: one for what people say, one for what templates say."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase) -> None:
        self.hf_tokenizer = tokenizer
        self._cached_encode = lru_cache(CACHED_TEXTS)(self._encode_uncached)

    def __reduce__(self) -> tuple[type[SafeTokenizer], tuple[PreTrainedTokenizerBase]]:
        return type(self), (self.hf_tokenizer,)  # what it remembers is not copied along

    def encode(self, text: str) -> list[int]:
        """Token ids of a person's words; special tokens and added tokens in them are spelled out."""
        return list((self._cached_encode if len(text) <= MAX_CACHED_CHARS else self._encode_uncached)(text))

    def split_special_tokens(self, text: str) -> list[str | int]:
        """Cut a template's string at the special tokens that it holds: ``"</s>USER: "`` gives ``[2, "USER: "]``."""
        pieces = re.split(self._special_token_pattern, text) if self._special_tokens else [text]
        return [self._special_tokens.get(piece, piece) for piece in pieces if piece]

    def decode(self, ids: list[int]) -> str:
        """Words of token ids, special tokens left out; an unfinished character becomes ``\\ufffd``."""
        return str(
            self.hf_tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False)
        )

    @cached_property
    def special_ids(self) -> frozenset[int]:
        """The special tokens: they belong to templates and never to what is said."""
        added = self.hf_tokenizer.added_tokens_decoder
        return frozenset(token_id for token_id, token in added.items() if token.special)

    @cached_property
    def longest_token_chars(self) -> int:
        """No token stands for more characters than this, so a text of n characters has at least n / this tokens."""
        return max(len(token) for token in self.hf_tokenizer.get_vocab())

    def _encode_uncached(self, text: str) -> tuple[int, ...]:
        return tuple(
            part
            for token_id in self._tokenize(text)
            for part in self._spelled_out_ids.get(token_id, (token_id,))
        )

    def _tokenize(self, text: str) -> list[int]:
        # Half a surrogate pair, which JSON may hold, is no character: tokenizers stumble over it.
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
        return "(" + "|".join(re.escape(marker) for marker in longest_first) + ")"

    @cached_property
    def _spelled_out_ids(self) -> dict[int, tuple[int, ...]]:
        """Each added token as the ids of its characters (an added token of one character cannot be spelled)."""
        spelled = {}
        for content, token_id in self._special_tokens.items():
            pieces = tuple(part for character in content for part in self._tokenize(character))
            if token_id not in pieces:
                spelled[token_id] = pieces
        return spelled
