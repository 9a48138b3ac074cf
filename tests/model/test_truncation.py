"""Conversations beyond the context lose their oldest turns."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from nextgpt.message import Conversation, Sampling
from nextgpt.model.truncation import TURNS_PER_STEP, truncate
from nextgpt.testing.model import fake_model
from nextgpt.testing.scripted_model import tiny_audio, tiny_image


def conversation(num_turns: int) -> Conversation:
    talk = Conversation().with_message("Be brief.", role="system")
    for turn in range(num_turns - 1):
        talk = talk.with_message(f"question {turn}").with_message(f"answer {turn}", role="assistant")
    return talk.with_message(f"question {num_turns - 1}")


def at_most(messages: int) -> Callable[[Conversation], bool]:
    return lambda talk: len(talk) <= messages


def texts(talk: Conversation) -> list[str]:
    return [message.text for message in talk]


def test_what_fits_stays_as_it_is() -> None:
    talk = conversation(9)
    assert truncate(talk, at_most(18)).conversation is talk


def test_the_oldest_turns_leave_in_steps_and_system_messages_stay() -> None:
    result = truncate(conversation(40), at_most(60))
    assert result.num_turns == 16, "two steps: 1 + 2 * 24 - 1 messages stay"
    assert texts(result.conversation)[:2] == ["Be brief.", "question 16"]


def test_later_turns_begin_with_the_same_messages() -> None:
    limit = at_most(60)
    begins = [texts(truncate(conversation(turns), limit).conversation)[:5] for turns in range(31, 39)]
    assert all(begin == begins[0] for begin in begins)
    assert texts(truncate(conversation(39), limit).conversation)[1] == f"question {2 * TURNS_PER_STEP}"


def test_the_last_turn_stays_even_if_it_does_not_fit() -> None:
    result = truncate(conversation(11), at_most(1))
    assert texts(result.conversation) == ["Be brief.", "question 10"] and result.num_turns == 10


def test_the_last_medium_of_each_modality_stays() -> None:
    old, new, tone = tiny_image((1, 2, 3)), tiny_image((4, 5, 6)), tiny_audio()
    talk = Conversation().with_message([old, "this"]).with_message([new, "that", tone], role="assistant")
    for turn in range(12):
        talk = talk.with_message(f"question {turn}").with_message("yes", role="assistant")
    talk = talk.with_message("Make it blue.")
    first, *_ = truncate(talk, at_most(12)).conversation
    assert first.media == (new, tone) and first.role == "user"


@pytest.mark.parametrize("has_media", [False, True])
def test_many_turns_are_answered(has_media: bool) -> None:
    model = fake_model()
    talk, truncated = Conversation(), []
    for turn in range(36):
        talk = talk.with_message([f"question {turn}", tiny_image()] if has_media else f"question {turn}")
        reply = model.chat(talk, Sampling(max_tokens=8, modalities=("text",), seed=turn))
        truncated.append(reply.truncated_turns)
        talk = talk.with_reply(reply)
    assert truncated[0] == 0 and truncated[-1] > 0 and truncated == sorted(truncated)
