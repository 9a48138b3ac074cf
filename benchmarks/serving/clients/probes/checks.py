"""Helpers of the Python probes. They run in environments of their own, so nextgpt is not importable here."""

import asyncio
import base64
import inspect
import json
import os
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

BASE_URL = os.environ["BASE_URL"]
MODEL = os.environ["MODEL"]
KEY = "none"
IMAGE, AUDIO = Path(os.environ["IMAGE"]), Path(os.environ["AUDIO"])
IMAGE_URI = "data:image/png;base64," + base64.b64encode(IMAGE.read_bytes()).decode()
AUDIO_B64 = base64.b64encode(AUDIO.read_bytes()).decode()
TALK, DRAW, LOOK, LISTEN = "Hello!", "Draw a cat.", "What is in this picture?", "What do you hear?"
PNG = b"\x89PNG\r\n\x1a\n"

OPENAI_MESSAGES = {
    "image_in": [{"type": "text", "text": LOOK}, {"type": "image_url", "image_url": {"url": IMAGE_URI}}],
    "audio_in": [
        {"type": "text", "text": LISTEN},
        {"type": "input_audio", "input_audio": {"data": AUDIO_B64, "format": "wav"}},
    ],
}
"""Contents of user messages in OpenAI's chat format."""


def run(**checks: Callable[[], Any]) -> None:
    """Run the checks; print a JSON line for each. A check fails by an exception."""
    for name, check in checks.items():
        try:
            result = check()
            if inspect.isawaitable(result):
                asyncio.run(_awaited(result))
            line = {"check": name, "ok": True, "detail": ""}
        except Exception as error:
            traceback.print_exc()
            line = {"check": name, "ok": False, "detail": f"{type(error).__name__}: {error}"[:300]}
        print(json.dumps(line), flush=True)


async def _awaited(result: Any) -> Any:
    return await result


def says(text: Any, *words: str) -> None:
    """Check that the answer is text with one of the words, if any are given."""
    assert isinstance(text, str) and text.strip(), f"no text: {text!r}"
    assert not words or any(word in text.lower() for word in words), f"{text!r} has none of {words}"


def is_png(data: str | bytes) -> None:
    """Check that a data URI, base64 or bytes hold a PNG."""
    raw = base64.b64decode(data.rpartition(",")[2]) if isinstance(data, str) else data
    assert raw.startswith(PNG), f"no PNG: {raw[:16]!r}"


def fails(kind: type[Exception], call: Callable[[], Any], words: str = "no-such-model") -> None:
    """Check that the call raises the client's own error, with the server's message in it."""
    try:
        call()
    except kind as error:
        assert words in str(error), f"the message is lost: {error}"
        return
    raise AssertionError(f"no {kind.__name__}")
