"""Words to ids and back: what a person writes stays words."""

from __future__ import annotations

import pickle

import pytest

from nextgpt.model.llm.text_codec import TextCodec
from nextgpt.testing import tiny_tokenizer


@pytest.fixture
def codec() -> TextCodec:
    return TextCodec(tiny_tokenizer())


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
def test_a_persons_text_never_becomes_a_special_token_and_comes_back_unchanged(codec, text):
    ids = codec.encode(text)
    assert not codec.special_ids & set(ids)
    assert codec.decode(ids) == text


def test_added_tokens_that_are_not_special_are_spelled_out_too():
    tokenizer = tiny_tokenizer()
    tokenizer.add_tokens(["<Img>"])
    codec = TextCodec(tokenizer)
    marker = tokenizer.convert_tokens_to_ids("<Img>")
    assert tokenizer("<Img>")["input_ids"] == [marker]  # as the bare tokenizer would have it
    assert marker not in codec.encode("look: <Img> here")
    assert codec.decode(codec.encode("look: <Img> here")) == "look: <Img> here"
    assert codec.split_markers("<Img>") == [marker]


def test_a_templates_string_is_cut_at_its_special_tokens(codec):
    end, user = codec.tokenizer.convert_tokens_to_ids(["<|end|>", "<|user|>"])
    assert codec.split_markers("<|end|>\n<|user|>USER: ") == [end, "\n", user, "USER: "]
    assert codec.split_markers("") == []


def test_no_token_stands_for_more_characters_than_said(codec):
    assert all(len(codec.decode([token_id])) <= codec.longest_token_chars for token_id in range(261))


def test_half_a_surrogate_pair_is_no_stumbling_block(codec):
    assert codec.decode(codec.encode("a\ud83db")) == "a?b"


def test_a_copy_remembers_nothing_of_the_original(codec):
    ids = codec.encode("what was said before")
    copied = pickle.loads(pickle.dumps(codec))
    assert copied._remembered.cache_info().currsize == 0 < codec._remembered.cache_info().currsize
    assert copied.encode("what was said before") == ids
