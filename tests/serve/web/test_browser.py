"""The chat page in headless Chromium, on loopback, around a model that answers from a script."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from nextgpt.serve.engine.serial import SerialEngine
from nextgpt.testing.scripted import picture

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium on PATH; install it with apt-get install chromium"),
]
WAIT_MS = 60_000


@pytest.fixture(scope="module")
def chat(serving: Any, studio: Any) -> Iterator[str]:
    """The address of a server with the page."""
    from nextgpt.serve.web import MOUNT

    with serving(SerialEngine(studio), mount=[MOUNT]) as address:
        yield address


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """A headless browser."""
    api = pytest.importorskip("playwright.sync_api", reason="needs playwright; install the extra dev")
    with api.sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield launched
        launched.close()


@pytest.fixture
def page(browser: Any, chat: str) -> Iterator[Any]:
    """The page, opened; at its end nothing was fetched from elsewhere and no script failed."""
    context = browser.new_context(viewport={"width": 390, "height": 844})
    opened = context.new_page()
    opened.set_default_timeout(WAIT_MS)
    elsewhere: list[str] = []
    problems: list[str] = []
    opened.on("request", lambda request: _note(elsewhere, request.url, chat))
    opened.on("pageerror", lambda error: problems.append(str(error)))
    opened.on("console", lambda line: problems.append(line.text) if line.type == "error" else None)
    opened.goto(f"{chat}/", timeout=WAIT_MS)
    opened.wait_for_selector("#box textarea")
    yield opened
    context.close()
    assert elsewhere == []
    assert problems == []


def _note(elsewhere: list[str], url: str, home: str) -> None:
    if not url.startswith((home, "data:", "blob:")):
        elsewhere.append(url)


def _say(page: Any, words: str) -> None:
    page.fill("#box textarea", words)
    page.keyboard.press("Enter")


def test_an_answer_stands_in_the_chat_and_survives_a_reload_at_phone_width(page: Any) -> None:
    _say(page, "hello")
    page.wait_for_selector("#chat >> text=hello")
    page.wait_for_selector("#chat .bot")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    page.wait_for_timeout(1000)
    page.reload()
    page.wait_for_selector("#chat >> text=hello")


def test_an_attached_picture_stands_in_the_chat(page: Any, tmp_path: Path) -> None:
    path = picture().save(tmp_path / "red.png")
    page.set_input_files("#box input[type=file]", str(path))
    page.wait_for_selector("#box .thumbnail-item")
    _say(page, "what?")
    page.wait_for_selector("#chat .user img")
