"""Text of messages with media between."""

from __future__ import annotations

import pytest

from nextgpt.message import Message, Text, TextJoiner
from nextgpt.testing.scripted_model import tiny_image


@pytest.mark.parametrize(
    ("parts", "text"),
    [
        (["a ", "cat"], "a cat"),
        (["a", None, "b", None, None, "c"], "a\nb\nc"),
        ([None, "a", None], "a"),
        (["a\n", None, "b"], "a\nb"),
        (["a", None, "\nb"], "a\nb"),
        (["a", None, "", "b"], "a\nb"),
    ],
)
def test_a_line_break_separates_what_a_medium_separates(parts: list[str | None], text: str) -> None:
    message = Message("assistant", tuple(tiny_image() if part is None else Text(part) for part in parts))
    assert message.text == text
    joiner = TextJoiner()
    assert "".join(joiner.add_text(part) if part is not None else joiner.add(None) for part in parts) == text
