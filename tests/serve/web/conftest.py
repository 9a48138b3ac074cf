"""One server and one browser for the tests of the page: Chromium without a window, on loopback, around a script."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nextgpt.errors import ConversationError
from nextgpt.message import (
    Audio,
    Conversation,
    Event,
    Finished,
    Medium,
    Progress,
    Reply,
    Sampling,
    Text,
    TextPiece,
)
from nextgpt.serve.engine.serial import SerialEngine
from nextgpt.serve.settings import ServerSettings
from nextgpt.testing.scripted import film, picture

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--autoplay-policy=no-user-gesture-required",
    "--use-fake-device-for-media-stream",
    "--use-fake-ui-for-media-stream",
]
WAIT_MS = 60_000


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what needs a browser where there is none."""
    for item in items:
        if item.get_closest_marker("browser") and CHROMIUM is None:
            item.add_marker(
                pytest.mark.skip(reason="needs Chromium on PATH; install it with apt-get install chromium")
            )


def tone() -> Audio:
    """A tone of a second and a half, so that one can see it play."""
    return Audio(
        np.sin(np.arange(24_000, dtype=np.float32) / 8)[None] * np.float32(0.3), sample_rate_hz=16_000
    )


@dataclass
class Stage:
    """Tells what it heard and under which seed, or makes what ``modalities`` ask for, in three steps.

    Words steer it: "slow" draws words until it is called off, "wait" stops before its last step until ``gate`` opens,
    "refuse" is refused.
    """

    heard: list[Conversation] = field(default_factory=list)
    samplings: list[Sampling] = field(default_factory=list)
    gate: threading.Event = field(default_factory=threading.Event)
    closed: threading.Event = field(default_factory=threading.Event)
    """Set when somebody left a slow answer."""

    def stream(self, says: Conversation, sampling: Sampling) -> Iterator[Event]:
        """Answer the last message."""
        self.heard.append(says)
        self.samplings.append(sampling)
        last = says.messages[-1]
        if "refuse" in last.text:
            raise ConversationError("refuse came; expected another word. Say something else.")
        if "slow" in last.text:
            yield from self._draw_out()
        elif sampling.modalities is None:
            kinds = ", ".join(part.modality for part in last.parts)
            yield from _told(
                Text(f"Turn {len(says)}, **seed {sampling.seed}**: I got {kinds}."), sampling.seed
            )
        else:
            yield from self._make(sampling, waits="wait" in last.text)

    def _make(self, sampling: Sampling, *, waits: bool) -> Iterator[Event]:
        makers: dict[str, Callable[[], Medium]] = {"image": picture, "audio": tone, "video": film}
        parts = []
        for name in sampling.modalities or ():
            if name == "text":
                parts.append(Text("Here it is."))
                yield TextPiece(parts[-1].text)
                continue
            made = makers[name]()
            yield from (Progress(name, step, 3, made) for step in (1, 2))
            if waits:
                self.gate.wait(60)
            yield made
            parts.append(made)
        yield Finished(
            Reply(tuple(parts), sampling.seed, timings_s={"llm": 0.25, "image": 0.5, "total": 0.75})
        )

    def _draw_out(self) -> Iterator[Event]:
        try:
            for _ in range(12_000):
                yield TextPiece("and ")
                self.closed.wait(0.01)
        finally:
            self.closed.set()


def _told(text: Text, seed: int) -> Iterator[Event]:
    yield from (TextPiece(f"{word} ") for word in text.text.split(" "))
    yield Finished(Reply((text,), seed))


@pytest.fixture(scope="session")
def stage() -> Stage:
    """What answers; it remembers what it heard."""
    return Stage()


@pytest.fixture(scope="session")
def chat(serving: Any, stage: Stage) -> Iterator[str]:
    """The address of a server with the page."""
    from nextgpt.serve.web import MOUNT

    with serving(SerialEngine(stage), mount=[MOUNT]) as address:
        yield address


@pytest.fixture(scope="session")
def keyed_chat(serving: Any, stage: Stage) -> Iterator[str]:
    """The address of one that has a key."""
    from nextgpt.serve.web import MOUNT

    with serving(SerialEngine(stage), ServerSettings(api_keys=("open sesame",)), mount=[MOUNT]) as address:
        yield address


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """A headless browser with a pretended microphone and camera.

    No longer than its module: while playwright runs, its thread has an event loop, and others cannot run theirs.
    """
    api = pytest.importorskip("playwright.sync_api", reason="needs playwright; install the extra dev")
    with api.sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield launched
        launched.close()


@pytest.fixture
def tolerated() -> list[str]:
    """What a test expects in the console, such as the status of a refusal."""
    return []


@pytest.fixture
def visit(browser: Any, tolerated: list[str]) -> Iterator[Callable[..., Any]]:
    """Opens pages; at the end none asked another machine, broke its policy, or had a script that failed."""
    opened: list[Any] = []
    problems: list[str] = []

    def visit(home: str, **context: Any) -> Any:
        made = browser.new_context(**{"viewport": {"width": 1200, "height": 900}} | context)
        opened.append(made)
        page = made.new_page()
        page.set_default_timeout(WAIT_MS)
        page.on("request", lambda request: _note(problems, request.url, home))
        page.on("pageerror", lambda error: problems.append(f"a script failed: {error}"))
        page.on("console", lambda line: _heard(problems, line))
        page.goto(f"{home}/", timeout=WAIT_MS)
        return page

    yield visit
    for context in opened:
        context.close()
    assert [one for one in problems if not any(known in one for known in tolerated)] == []


def _heard(problems: list[str], line: Any) -> None:
    if line.type in ("error", "warning"):
        problems.append(f"{line.text} ({line.location.get('url')})")


def _note(problems: list[str], url: str, home: str) -> None:
    if not url.startswith((home, "data:", "blob:")):
        problems.append(f"another machine was asked: {url}")


@pytest.fixture
def page(visit: Callable[..., Any], chat: str) -> Any:
    """The page, ready."""
    return ready(visit(chat))


def ready(page: Any) -> Any:
    """The page once nothing is being answered."""
    page.wait_for_selector(".ng[data-state=ready]")
    return page


@pytest.fixture
def say() -> Callable[[Any, str], Any]:
    """Says something by keyboard and waits for the whole answer."""

    def say(page: Any, words: str) -> Any:
        page.fill("#message", words)
        page.press("#message", "Enter")
        return ready(page)

    return say


@pytest.fixture(scope="session")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A file of every modality."""
    folder = tmp_path_factory.mktemp("files")
    return {medium.modality: medium.save(folder / medium.modality) for medium in (picture(), tone(), film())}
