"""A page of another origin in a real browser: it chats with the server if its origin is allowed, and only then."""

from __future__ import annotations

import contextlib
import http.server
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any

import pytest
from tests.browser import CHROMIUM

from nextgpt.serve.settings import ServerSettings
from nextgpt.testing.serial_engine import SerialEngine

KEY = "a-key"
CHAT = """
async ([address, key, stream]) => {
  try {
    const response = await fetch(`${address}/v1/chat/completions`, {
      method: "POST",
      headers: { "Content-Type": "application/json", Authorization: `Bearer ${key}` },
      body: JSON.stringify({ model: "nano", stream, messages: [{ role: "user", content: "Draw a cat." }],
                             modalities: ["text", "image"] }),
    });
    return { status: response.status, id: response.headers.get("X-Request-Id"), text: await response.text() };
  } catch (error) {
    return { error: String(error) };
  }
}
"""


class _Page(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(b"<!doctype html><title>an app</title><link rel=icon href=data:,>")

    def log_message(self, *_: Any) -> None: ...


@contextlib.contextmanager
def _other_origin() -> Iterator[str]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Page)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


@pytest.mark.browser
def test_a_page_of_another_origin_chats_if_it_is_allowed(
    studio: Any, serving: Callable[..., AbstractContextManager[str]]
):
    api = pytest.importorskip("playwright.sync_api", reason="needs playwright; install the extra dev")
    with _other_origin() as origin, api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page()
        page.goto(origin)
        settings = ServerSettings(api_keys=(KEY,), allowed_origins=(origin,))
        with serving(SerialEngine(studio), settings) as address:
            answer = page.evaluate(CHAT, [address, KEY, False])
            assert answer.get("status") == 200 and "data:image/png;base64," in answer["text"], answer
            assert answer["id"]  # a header that the page may read
            stream = page.evaluate(CHAT, [address, KEY, True])
            assert stream.get("status") == 200 and stream["text"].endswith("data: [DONE]\n\n"), stream
            wrong_key = page.evaluate(CHAT, [address, "wrong", False])
            assert wrong_key.get("status") == 401, wrong_key  # readable, not hidden behind a network error
        with serving(SerialEngine(studio), ServerSettings(api_keys=(KEY,))) as address:
            assert "error" in page.evaluate(CHAT, [address, KEY, False])
        browser.close()
