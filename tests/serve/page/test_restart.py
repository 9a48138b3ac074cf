"""What the browser keeps outlives a reload, a killed server and a closed browser; nano really answers."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.browser import CHROMIUM, FLAGS, open_page, ready

pytestmark = [pytest.mark.browser, pytest.mark.slow]

KINDS = ("image", "audio", "video")
QUESTIONS = {
    "image": "Draw a red cat.",
    "audio": "Play a trumpet.",
    "video": "Show me a blue ball moving to the right.",
}


@contextmanager
def nano_server(port: int) -> Iterator[None]:
    """Run ``nextgpt serve nano``; at the end it is killed, without a chance to save anything."""
    command = [sys.executable, "-m", "nextgpt", "serve", "nano", "--port", str(port)]
    process = subprocess.Popen(command, env=os.environ | {"OMP_NUM_THREADS": "1"}, stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 120
        while not _is_ready(port):
            assert process.poll() is None and time.monotonic() < deadline, "the server did not start"
            time.sleep(0.2)
        yield
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()


def _is_ready(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/ready", trust_env=False).status_code == 200
    except httpx.TransportError:
        return False


@contextmanager
def persistent_browser(folder: Path) -> Iterator[Any]:
    """Run a browser that keeps what it stores in ``folder``."""
    api = pytest.importorskip("playwright.sync_api", reason="needs playwright; install the extra dev")
    with api.sync_playwright() as playwright:
        context = playwright.chromium.launch_persistent_context(
            str(folder), executable_path=CHROMIUM, args=FLAGS, viewport={"width": 1200, "height": 900}
        )
        yield context
        context.close()


def _send(page: Any, text: str, *kinds: str) -> None:
    for toggle in page.locator(".chip").all():
        wanted = toggle.get_attribute("data-modality") in kinds
        if wanted != (toggle.get_attribute("aria-pressed") == "true"):
            toggle.click()
    page.fill("#message", text)
    page.press("#message", "Enter")
    ready(page)


def _shown(page: Any) -> list[list[str]]:
    return page.eval_on_selector_all(  # type: ignore[no-any-return]
        ".turn:not(.tail)",
        """turns => turns.map((turn) => [...turn.querySelectorAll('.content > *')].map(
          (part) => part.dataset.kind ?? part.innerText.trim()))""",
    )


def test_a_conversation_of_all_modalities_outlives_reload_server_and_browser(
    tmp_path: Path, files: dict[str, Path]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    origin, problems = f"http://127.0.0.1:{port}", list[str]()
    with persistent_browser(tmp_path / "profile") as context:
        with nano_server(port):
            page = ready(open_page(context, origin, problems))
            page.set_input_files(".composer input[type=file]", [str(path) for path in files.values()])
            page.wait_for_selector(".attachment[data-kind] >> nth=2")
            _send(page, "What is this?", "text")
            for kind in KINDS:
                _send(page, QUESTIONS[kind], "text", kind)
                page.wait_for_selector(f".turn.assistant .medium[data-kind={kind}]")
            page.click(".tail .about")
            assert page.inner_text(".drawer mark").startswith("[VID0][VID1]")
            page.keyboard.press("Escape")
            before, address = _shown(page), page.evaluate("location.hash")
            assert [part for turn in before for part in turn if part in KINDS] == [*KINDS, *KINDS]
            page.reload()
            page.wait_for_selector(".turn.assistant .medium[data-kind=video]")
            assert _shown(page) == before
        assert not _is_ready(port)
        with nano_server(port):
            assert _shown(page) == before
            _send(page, "Draw a blue dog.", "text", "image")
            page.wait_for_selector(".turn.assistant .medium[data-kind=image] >> nth=1")
            continued = _shown(page)
            assert continued[: len(before)] == before and len(continued) == len(before) + 2
    with persistent_browser(tmp_path / "profile") as context, nano_server(port):
        page = open_page(context, f"{origin}/{address}", problems)
        page.wait_for_selector(".turn.assistant .medium[data-kind=image] >> nth=1")
        assert _shown(page) == continued
        assert page.locator("a.conversation").count() == 1
        page.close()
    assert problems == []
