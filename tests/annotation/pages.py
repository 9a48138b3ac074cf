"""Fixtures for pages on which people judge: a server in a thread, a headless browser, and axe-core."""

from __future__ import annotations

import contextlib
import shutil
import socket
import threading
import time
from collections.abc import Callable, Iterator
from importlib.resources import files as resources
from typing import Any

import pytest
import uvicorn
from fastapi import FastAPI

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]
FLAGS += ["--disable-component-update", "--disable-sync", "--autoplay-policy=no-user-gesture-required"]
VIOLATIONS = """async () => {
  const options = { runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'] };
  const { violations } = await axe.run(document, options);
  return violations.map((one) => [one.id, one.nodes.map((node) => node.html.slice(0, 120))]);
}"""


@contextlib.contextmanager
def serving(app: FastAPI) -> Iterator[str]:
    """Serve an application on a free port of loopback; yields the address."""
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=1))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    deadline = time.monotonic() + 60
    while not server.started and time.monotonic() < deadline:
        time.sleep(0.01)
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(timeout=30)
        listener.close()


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """A headless browser; skipped, with the reason, where there is none."""
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

    def visit(address: str, **options: Any) -> Any:
        context = browser.new_context(**{"viewport": {"width": 1200, "height": 900}} | options)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(60_000)
        origin = "/".join(address.split("/")[:3])
        page.on("request", lambda one: None if one.url.startswith(origin) else problems.append(f"asked {one.url}"))
        page.on("pageerror", lambda error: problems.append(f"a script failed: {error}"))
        page.on("console", lambda line: problems.append(line.text) if line.type in ("error", "warning") else None)
        page.goto(address)
        return page

    yield visit
    for context in contexts:
        context.close()
    unexpected = [one for one in problems if not any(known in one for known in tolerated)]
    assert unexpected == [], unexpected


def ready(page: Any, state: str = "ready") -> Any:
    """Wait for a state of the page."""
    page.wait_for_selector(f"body[data-state={state}]")
    return page


def check_accessibility(page: Any, state: str) -> None:
    """Let axe-core look at the page."""
    pytest.importorskip("axe_playwright_python", reason="needs axe-core; install the extra dev")
    if not page.evaluate("typeof axe === 'object'"):
        script = resources("axe_playwright_python").joinpath("axe.min.js").read_text()
        page.evaluate(f"() => {{ {script} }}")
    page.wait_for_timeout(250)  # transitions end
    found = page.evaluate(VIOLATIONS)
    assert found == [], f"{state}: {found}"
