"""What tests of the pages on which people judge share: a server in a thread, and axe-core."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from importlib.resources import files as resources
from typing import Any

import pytest
import uvicorn
from fastapi import FastAPI

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


def check_accessibility(page: Any, state: str) -> None:
    """Let axe-core look at the page."""
    pytest.importorskip("axe_playwright_python", reason="needs axe-core; install the extra dev")
    if not page.evaluate("typeof axe === 'object'"):
        script = resources("axe_playwright_python").joinpath("axe.min.js").read_text()
        page.evaluate(f"() => {{ {script} }}")
    page.wait_for_timeout(250)  # transitions end
    found = page.evaluate(VIOLATIONS)
    assert found == [], f"{state}: {found}"
