"""A headless browser for tests of pages, and fixtures that open pages and note their problems."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from typing import Any

import pytest

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


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """A headless browser with a pretended microphone and camera; skipped, with the reason, where there is none.

    No longer than its module: while playwright runs, its thread has an event loop, and others cannot run theirs.
    """
    if CHROMIUM is None:
        pytest.skip("needs Chromium on PATH; install it with apt-get install chromium")
    api = pytest.importorskip("playwright.sync_api", reason="needs playwright; install the extra dev")
    with api.sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield launched
        launched.close()


@pytest.fixture
def tolerated() -> list[str]:
    """Console messages that a test expects, such as the status of a refused request."""
    return []


@pytest.fixture
def visit(browser: Any, tolerated: list[str]) -> Iterator[Callable[..., Any]]:
    """Open pages. At the end none may have asked another host, broken its policy, or had a script that failed."""
    contexts: list[Any] = []
    problems: list[str] = []

    def visit(address: str, path: str = "", **options: Any) -> Any:
        context = browser.new_context(**options)
        contexts.append(context)
        return open_page(context, address + path, problems)

    yield visit
    for context in contexts:
        context.close()
    unexpected = [one for one in problems if not any(known in one for known in tolerated)]
    assert unexpected == [], unexpected


def open_page(context: Any, address: str, problems: list[str]) -> Any:
    """Open a page whose problems are noted."""
    page = context.new_page()
    page.set_default_timeout(WAIT_MS)
    origin = "/".join(address.split("/")[:3])
    page.on("request", lambda request: _check_origin(problems, request.url, origin))
    page.on("pageerror", lambda error: problems.append(f"a script failed: {error}"))
    page.on("console", lambda line: _check_line(problems, line))
    page.goto(address, timeout=WAIT_MS)
    return page


def _check_line(problems: list[str], line: Any) -> None:
    if line.type in ("error", "warning"):
        problems.append(f"{line.text} ({line.location.get('url')})")


def _check_origin(problems: list[str], url: str, origin: str) -> None:
    if not url.startswith((origin, "data:", "blob:")):
        problems.append(f"another host was asked: {url}")


def ready(page: Any, state: str = "ready") -> Any:
    """Wait for a state of the page, by default the one in which nothing is being answered."""
    page.wait_for_selector(f"body[data-state={state}]")
    return page
