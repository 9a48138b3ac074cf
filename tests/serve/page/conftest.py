"""One server and one browser for the tests of the page: headless Chromium on loopback, a scripted model behind it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.browser import browser, ready, tolerated, visit

from nextgpt.errors import ConversationError
from nextgpt.message import (
    Audio,
    Conversation,
    DenoisingProgress,
    Event,
    Medium,
    MediumFinished,
    Reply,
    ReplyFinished,
    Sampling,
    Text,
    TextDelta,
)
from nextgpt.serve.settings import ServerSettings
from nextgpt.testing.scripted_model import tiny_image, tiny_video
from nextgpt.testing.serial_engine import SerialEngine

__all__ = ["browser", "tolerated", "visit"]


def tone() -> Audio:
    """A tone of a second and a half, so that one can see it play."""
    return Audio(np.sin(np.arange(24_000, dtype=np.float32) / 8)[None] * np.float32(0.3), sample_rate_hz=16_000)


@dataclass
class ScriptedChat:
    """Answers with what it received and under which seed, or generates what ``modalities`` ask for, in three steps.

    Words of the message steer it: "slow" emits text until it is cancelled, "wait" stops before the last step until
    ``gate`` opens, "refuse" is refused, "markup" answers in Markdown, "cut" ends at the longest length.
    """

    conversations: list[Conversation] = field(default_factory=list)
    samplings: list[Sampling] = field(default_factory=list)
    gate: threading.Event = field(default_factory=threading.Event)
    cancelled: threading.Event = field(default_factory=threading.Event)
    """Set when somebody left a slow answer."""

    def stream(self, conversation: Conversation, sampling: Sampling) -> Iterator[Event]:
        """Answer the last message."""
        self.conversations.append(conversation)
        self.samplings.append(sampling)
        last = conversation.messages[-1]
        if "refuse" in last.text:
            raise ConversationError("message: got refuse; expected another word. Say something else.")
        if "slow" in last.text:
            yield from self._emit_slowly()
        elif "markup" in last.text:
            yield from _emit(Text(MARKUP), sampling.seed)
        elif sampling.modalities is None:
            kinds = ", ".join(part.modality for part in last.parts)
            text = f"Turn {len(conversation)}, **seed {sampling.seed}**: I got {kinds}."
            yield from _emit(Text(text), sampling.seed)
        else:
            yield from self._generate(sampling, waits="wait" in last.text)

    def _generate(self, sampling: Sampling, *, waits: bool) -> Iterator[Event]:
        makers: dict[str, Callable[[], Medium]] = {"image": tiny_image, "audio": tone, "video": tiny_video}
        parts: list[Any] = []
        for name in sampling.modalities or ():
            if name == "text":
                parts.append(Text("Here it is."))
                yield TextDelta(parts[-1].text)
                continue
            medium = makers[name]()
            yield from (DenoisingProgress(name, step, 3, medium) for step in (1, 2))
            if waits:
                self.gate.wait(60)
            yield MediumFinished(medium)
            parts.append(medium)
        timings_s = {"llm": 0.25, "image": 0.5, "total": 0.75}
        yield ReplyFinished(Reply(tuple(parts), sampling.seed, timings_s=timings_s))

    def _emit_slowly(self) -> Iterator[Event]:
        try:
            for _ in range(12_000):
                yield TextDelta("and ")
                self.cancelled.wait(0.01)
        finally:
            self.cancelled.set()


MARKUP = "**bold** <script>alert(1)</script> ![x](https://example.org/x.png) [y](javascript:alert(1))"


def _emit(text: Text, seed: int) -> Iterator[Event]:
    yield from (TextDelta(f"{word} ") for word in text.text.split(" "))
    yield ReplyFinished(Reply((text,), seed))


@pytest.fixture(scope="session")
def model() -> ScriptedChat:
    """The model behind the page; it records what it received."""
    return ScriptedChat()


@pytest.fixture(scope="session")
def chat(serving: Any, model: ScriptedChat) -> Iterator[str]:
    """The address of a server."""
    with serving(SerialEngine(model)) as address:
        yield address


@pytest.fixture(scope="session")
def keyed_chat(serving: Any, model: ScriptedChat) -> Iterator[str]:
    """The address of a server that wants a key."""
    with serving(SerialEngine(model), ServerSettings(api_keys=("open sesame",))) as address:
        yield address


@pytest.fixture(scope="session")
def small_chat(serving: Any, model: ScriptedChat) -> Iterator[str]:
    """The address of a server that takes two media per request."""
    with serving(SerialEngine(model), ServerSettings(max_media=2)) as address:
        yield address


@pytest.fixture
def page(visit: Callable[..., Any], chat: str) -> Any:
    """The page, ready."""
    return ready(visit(chat))


@pytest.fixture
def until() -> Callable[..., Any]:
    """Wait for a JavaScript expression to be true.

    Playwright's own ``wait_for_function`` needs ``eval``, which the page's policy forbids.
    """

    def until(page: Any, expression: str, argument: Any = None, *, timeout_s: float = 30.0) -> None:
        deadline = time.monotonic() + timeout_s
        while not page.evaluate(expression, argument):
            assert time.monotonic() < deadline, f"never true: {expression}"
            page.wait_for_timeout(30)

    return until


@pytest.fixture
def say() -> Callable[[Any, str], Any]:
    """Send a message by keyboard and wait for the complete answer."""

    def say(page: Any, text: str) -> Any:
        page.fill("#message", text)
        page.press("#message", "Enter")
        return ready(page)

    return say


@pytest.fixture(scope="session")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A file of every modality."""
    folder = tmp_path_factory.mktemp("files")
    media = (tiny_image(), tone(), tiny_video())
    return {medium.modality: medium.save(folder / medium.modality) for medium in media}
