"""The stream of words: whole characters, and nothing of a stop string."""

from __future__ import annotations

import pytest

from nextgpt.model.llm.detokenizer import IncrementalDetokenizer
from nextgpt.model.llm.tokenizer import SafeTokenizer
from nextgpt.testing.tokenizer import tiny_tokenizer

CODEC = SafeTokenizer(tiny_tokenizer())


def speak(text: str, stop: tuple[str, ...] = ()) -> tuple[list[str], IncrementalDetokenizer]:
    stream = IncrementalDetokenizer(CODEC.decode, stop)
    pieces = [stream.add_token(token_id) for token_id in CODEC.encode(text)]
    return [*pieces, stream.flush()], stream


@pytest.mark.parametrize("text", ["plain", "grüße", "a🐱b", "日本語", " leading and trailing "])
def test_pieces_sum_to_the_text_and_hold_whole_characters_only(text):
    pieces, stream = speak(text)
    assert "".join(pieces) == text == stream.text
    assert not any("\ufffd" in piece for piece in pieces)


def test_a_character_that_never_ends_is_given_at_the_end():
    stream = IncrementalDetokenizer(CODEC.decode)
    assert stream.add_token(CODEC.encode("ü")[0]) == ""
    assert stream.flush() == "\ufffd"


def test_text_ends_before_a_stop_string_and_nothing_of_it_is_ever_given():
    pieces, stream = speak("one STOP two", stop=("STOP",))
    assert "".join(pieces) == "one " == stream.text
    assert stream.is_stopped


def test_what_only_looked_like_a_stop_string_is_given_later():
    pieces, stream = speak("a STO b", stop=("STOP",))
    assert "".join(pieces) == "a STO b"
    assert not stream.is_stopped
    assert pieces[2:6] == ["", "", "", "STO "]


def test_the_end_gives_what_was_held_back():
    pieces, _ = speak("a ST", stop=("STOP",))
    assert pieces[-1] == "ST"


def test_the_first_of_several_stop_strings_counts():
    assert speak("x##y", stop=("y", "##"))[1].text == "x"


def test_tokenizers_that_mark_spaces_keep_them():
    words = {0: "▁Hello", 1: "▁wor", 2: "ld"}

    def decode(ids: list[int]) -> str:
        return "".join(words[token_id] for token_id in ids).replace("▁", " ").removeprefix(" ")

    stream = IncrementalDetokenizer(decode)
    assert [stream.add_token(token_id) for token_id in words] == ["Hello", " wor", "ld"]
