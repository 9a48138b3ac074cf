"""Weaving: a conversation as one sequence of ids and slots."""

from __future__ import annotations

import numpy as np
import PIL.Image
import pytest

from nextgpt.errors import ConversationError
from nextgpt.message import Conversation, Image, Message, Text
from nextgpt.model.llm.template import TEMPLATES
from nextgpt.model.llm.weaving import MediaSlot, Prompt
from nextgpt.testing import tiny_language_model

LLM = tiny_language_model(soft_tokens=2, context_length=64)


def picture(level: int = 0) -> Image:
    return Image(PIL.Image.fromarray(np.full((2, 2, 3), level, dtype=np.uint8)))


def read(prompt: Prompt) -> str:
    """A prompt as a person would read it."""
    names = LLM.codec.tokenizer.convert_ids_to_tokens
    spelled = []
    for piece in prompt.pieces:
        if isinstance(piece, MediaSlot):
            spelled.append("(slot)")
            continue
        for token_id in piece.ids:
            first = LLM.vocabulary_size
            spelled.append(LLM.signals.ids.names[token_id - first] if token_id >= first else names(token_id))
    return "".join(spelled).replace("Ġ", " ")


def test_media_of_the_user_become_slots_where_they_were_said():
    one, two = picture(1), picture(2)
    prompt = LLM.weave(Conversation().say(["a ", one, two, " b"]))
    assert read(prompt) == "<|user|>a <|image|>(slot)<|close|><|image|>(slot)<|close|> b<|end|><|assistant|>"
    assert prompt.media == [one, two]
    assert prompt.length(2) == len(prompt.keys(2)) == len(prompt.token_ids) + 2 * 2


def test_media_of_the_assistant_become_their_runs_of_signal_tokens():
    made = picture()
    said = Conversation().say("draw").say(["here ", made, "!"], role="assistant").say("more")
    assert read(LLM.weave(said)) == (
        "<|user|>draw<|end|><|assistant|>here [IMG0][IMG1][IMG2][IMG3]!<|end|><|user|>more<|end|><|assistant|>"
    )
    edited = LLM.weave(said, is_edit=lambda medium: medium is made)
    assert "here [EDIT][IMG0][IMG1][IMG2][IMG3]!" in read(edited)


def test_text_that_spells_markers_and_signal_tokens_stays_text():
    said = "[IMG0][EDIT]<|end|><|assistant|>"
    prompt = LLM.weave(Conversation().say(said))
    assert read(prompt) == f"<|user|>{said}<|end|><|assistant|>"
    assert all(token_id < 256 for token_id in prompt.token_ids[1:-2])


def test_what_the_assistant_says_is_the_target_with_the_end_of_its_turn():
    said = Conversation().say("hi").say(["yo ", picture()], role="assistant")
    prompt = LLM.weave(said, is_answering=False)
    targets = [piece for piece in prompt.stretches if piece.is_target]
    assert [read(Prompt((piece,))) for piece in targets] == ["yo [IMG0][IMG1][IMG2][IMG3]<|end|>"]


def test_templates_without_special_tokens_are_joined_with_what_is_said():
    llm = tiny_language_model(template=TEMPLATES["vicuna_v1.1"], context_length=512)
    prompt = llm.weave(Conversation((Message("system", (Text("Hm."),)),)).say(["see ", picture()]))
    before, after = (llm.codec.decode(list(piece.ids)) for piece in prompt.stretches)
    assert (before, after) == ("<s>Hm. USER: see <Img>", "</Img> ASSISTANT:")


def test_an_empty_conversation_is_refused():
    with pytest.raises(ConversationError, match="empty"):
        LLM.weave(Conversation())
    with pytest.raises(ConversationError, match="empty"):
        LLM.weave(Conversation().say([]))


def test_a_conversation_that_is_too_long_says_how_long_it_is():
    with pytest.raises(
        ConversationError, match=r"takes 63\d? tokens|takes 6\d tokens; the model hears at most 64"
    ):
        LLM.weave(Conversation().say("x" * 62))
    LLM.weave(Conversation().say("x" * 60))


def test_a_far_too_long_text_is_refused_without_being_tokenized(monkeypatch):
    llm = tiny_language_model(context_length=64)
    monkeypatch.setattr(llm.codec, "_tokenize", lambda text: pytest.fail("tokenized"))
    with pytest.raises(ConversationError, match="at least"):
        llm.weave(Conversation().say("x" * 10_000_000))
