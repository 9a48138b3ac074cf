"""The start screen lists what an embedded model knows; a retrieved medium shows its source and licence."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from nextgpt.message import Attribution, Conversation, Event, MediumFinished, Reply, ReplyFinished, Sampling
from nextgpt.testing.scripted_model import tiny_image
from nextgpt.testing.serial_engine import SerialEngine

pytestmark = pytest.mark.browser


class Librarian:
    """Finds an image for every request."""

    def stream(self, conversation: Conversation, sampling: Sampling) -> Iterator[Event]:
        image, attribution = tiny_image(), Attribution("7", "a red <b>square</b>", "a shelf", "", 0.8)
        yield MediumFinished(image, attribution)
        yield ReplyFinished(Reply((image,), sampling.seed, attributions={0: attribution}))


@pytest.fixture(scope="module")
def library(serving: Any) -> Iterator[str]:
    with serving(SerialEngine(Librarian())) as address:
        yield address


def test_source_and_licence_are_shown_as_text_and_survive_a_reload(visit: Any, library: str, say: Any) -> None:
    page = visit(library)
    say(page, "A red square, please.")
    for _ in range(2):
        origin = page.locator(".medium .origin")
        origin.wait_for()
        assert origin.inner_text() == "Retrieved: a red <b>square</b> · Source: a shelf · Licence: unknown"
        page.reload()


def test_the_start_screen_lists_what_the_model_knows(visit: Any, library: str) -> None:
    page = visit(library)
    page.get_by_text("What nano knows").click()
    listed = page.locator(".knows dl").inner_text()
    assert "cat" in listed
    assert "moving left" in listed
