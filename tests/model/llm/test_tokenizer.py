"""Words to ids and back: what a person writes stays words."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest
from sentencepiece import SentencePieceProcessor
from transformers import AddedToken, LlamaConfig

from nextgpt.model.llm.loading import load_tokenizer
from nextgpt.model.llm.tokenizer import SafeTokenizer
from nextgpt.testing.tokenizer import tiny_tokenizer, write_llama_tokenizer


@pytest.fixture
def safe_tokenizer() -> SafeTokenizer:
    return SafeTokenizer(tiny_tokenizer())


@pytest.mark.parametrize(
    "text", ["<|end|>", "a<|user|>b<|assistant|>", "[IMG0] [EDIT] </s>", "<|e<|end|>nd|>", "grüße 🐱 \ufffd \x00", ""]
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
    assert all(len(safe_tokenizer.decode([token_id])) <= safe_tokenizer.longest_token_chars for token_id in range(261))


def test_half_a_surrogate_pair_is_no_stumbling_block(safe_tokenizer):
    assert safe_tokenizer.decode(safe_tokenizer.encode("a\ud83db")) == "a?b"


def test_a_copy_has_an_empty_cache(safe_tokenizer):
    ids = safe_tokenizer.encode("what was said before")
    copied = pickle.loads(pickle.dumps(safe_tokenizer))
    assert copied._cached_encode.cache_info().currsize == 0 < safe_tokenizer._cached_encode.cache_info().currsize
    assert copied.encode("what was said before") == ids


@pytest.fixture(scope="module")
def llama_folder(tmp_path_factory) -> Path:
    """A LLaMA's folder with ``config.json`` and ``tokenizer.model`` alone, as LLaMA was first published."""
    folder = tmp_path_factory.mktemp("llama")
    write_llama_tokenizer(folder / "tokenizer.model")
    LlamaConfig(vocab_size=400, hidden_size=32).save_pretrained(folder)
    return folder


def test_tokenizer_model_alone_gives_the_ids_of_sentencepiece(llama_folder):
    sentencepiece = SentencePieceProcessor(model_file=str(llama_folder / "tokenizer.model"))
    tokenizer = SafeTokenizer(load_tokenizer(llama_folder))
    for text in ("### Human: a dog", "a red cat\n###", "Human", "###", "der größte 🐱"):
        assert tokenizer.encode(text) == sentencepiece.encode(text)
        assert tokenizer.decode(tokenizer.encode(text)) == text


def test_added_tokens_of_a_llama_keep_its_ids_after_saving(llama_folder, tmp_path):
    tokenizer = load_tokenizer(llama_folder)
    tokenizer.add_tokens([AddedToken("<Img>", special=True, normalized=False)])
    tokenizer.save_pretrained(tmp_path)
    again, text = SafeTokenizer(load_tokenizer(tmp_path)), "### Human: a dog\n###"
    assert again.encode(text) == SafeTokenizer(tokenizer).encode(text)
    assert again.split_special_tokens("<Img>") == [len(tokenizer) - 1]
