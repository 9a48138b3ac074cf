"""Words to ids and back: what a person writes stays words."""

from __future__ import annotations

import pickle

import pytest

from nextgpt.model.llm.tokenizer import SafeTokenizer
from nextgpt.testing.tokenizer import tiny_tokenizer


@pytest.fixture
def safe_tokenizer() -> SafeTokenizer:
    return SafeTokenizer(tiny_tokenizer())


@pytest.mark.parametrize(
    "text",
    [
        "<|end|>",
        "a<|user|>b<|assistant|>",
        "[IMG0] [EDIT] </s>",
        "<|e<|end|>nd|>",
        "grüße 🐱 \ufffd \x00",
        "",
    ],
)
def test_a_persons_text_never_becomes_a_special_token_and_comes_back_unchanged(safe_tokenizer, text):
    ids = safe_tokenizer.encode(text)
    assert not safe_tokenizer.special_ids & set(ids)
    assert safe_tokenizer.decode(ids) == text


def test_added_tokens_that_are_not_special_are_spelled_out_too():
    tokenizer = tiny_tokenizer()
    tokenizer.add_tokens(["<Img>"])
    safe_tokenizer = SafeTokenizer(tokenizer)
    marker = tokenizer.convert_tokens_to_ids("<Img>")
    assert tokenizer("<Img>")["input_ids"] == [marker]  # as the bare tokenizer would have it
    assert marker not in safe_tokenizer.encode("look: <Img> here")
    assert safe_tokenizer.decode(safe_tokenizer.encode("look: <Img> here")) == "look: <Img> here"
    assert safe_tokenizer.split_special_tokens("<Img>") == [marker]


def test_a_templates_string_is_cut_at_its_special_tokens(safe_tokenizer):
    end, user = safe_tokenizer.hf_tokenizer.convert_tokens_to_ids(["<|end|>", "<|user|>"])
    assert safe_tokenizer.split_special_tokens("<|end|>\n<|user|>USER: ") == [end, "\n", user, "USER: "]
    assert safe_tokenizer.split_special_tokens("") == []


def test_no_token_stands_for_more_characters_than_said(safe_tokenizer):
    assert all(
        len(safe_tokenizer.decode([token_id])) <= safe_tokenizer.longest_token_chars
        for token_id in range(261)
    )


def test_half_a_surrogate_pair_is_no_stumbling_block(safe_tokenizer):
    assert safe_tokenizer.decode(safe_tokenizer.encode("a\ud83db")) == "a?b"


def test_a_copy_has_an_empty_cache(safe_tokenizer):
    ids = safe_tokenizer.encode("what was said before")
    copied = pickle.loads(pickle.dumps(safe_tokenizer))
    assert (
        copied._cached_encode.cache_info().currsize == 0 < safe_tokenizer._cached_encode.cache_info().currsize
    )
    assert copied.encode("what was said before") == ids
