"""Take the screenshots of the chat page for the README, with answers of nano.

Run ``python docs/pictures/chat.py`` in the project's environment, with Chromium on PATH; it writes ``chat.png`` beside
itself.
"""

from __future__ import annotations

import io
import shutil
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import PIL.Image
import torch
import uvicorn
from playwright.sync_api import Page, sync_playwright

from nextgpt import NextGPT
from nextgpt.serve.app import create_app
from nextgpt.serve.engine.local import LocalEngine
from nextgpt.serve.launch import UVICORN_OPTIONS

ASKED = "Draw a red cat at the top left on grass, and play a trumpet."
WIDTH_PX, HEIGHT_PX = 1280, 900
PHONE_WIDTH_PX = 400
GAP_PX = 24
COLOURS = 128


def main() -> None:
    """Take two screenshots: a wide window in light colors, a phone in dark ones."""
    torch.set_num_threads(1)
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    with serving() as address, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        wide = browser.new_page(viewport={"width": WIDTH_PX, "height": HEIGHT_PX}, color_scheme="light")
        phone = browser.new_page(viewport={"width": PHONE_WIDTH_PX, "height": HEIGHT_PX}, color_scheme="dark")
        pictures = [asked(wide, address, ASKED), asked(phone, address, "Show me a blue ball moving to the right.")]
        browser.close()
    canvas = PIL.Image.new("RGB", (WIDTH_PX + GAP_PX + PHONE_WIDTH_PX, HEIGHT_PX), "white")
    canvas.paste(pictures[0], (0, 0))
    canvas.paste(pictures[1], (WIDTH_PX + GAP_PX, 0))
    canvas.quantize(COLOURS).save(Path(__file__).with_name("chat.png"), optimize=True)


@contextmanager
def serving() -> Iterator[str]:
    """Run the server on a free port of loopback; yield its address."""
    listener = socket.create_server(("127.0.0.1", 0))
    app = create_app(LocalEngine(NextGPT.from_pretrained("nano"), "nano"))
    server = uvicorn.Server(uvicorn.Config(app, **UVICORN_OPTIONS))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()


def asked(page: Page, address: str, words: str) -> PIL.Image.Image:
    """Return a screenshot of the page after the answer."""
    page.set_default_timeout(300_000)
    page.goto(f"{address}/")
    page.wait_for_selector("body[data-state=ready]")
    page.fill("#message", words)
    page.press("#message", "Enter")
    page.wait_for_selector(".foot .retry")
    page.mouse.move(0, 0)
    page.wait_for_timeout(1500)  # images load, the controls of videos fade
    return PIL.Image.open(io.BytesIO(page.screenshot())).convert("RGB")


if __name__ == "__main__":
    main()
