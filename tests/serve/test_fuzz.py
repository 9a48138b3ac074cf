"""Two thousand hostile requests: none crashes the server, none is answered with a fault of ours, memory stays flat."""

from __future__ import annotations

import base64
import json
import random
import resource
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import httpx
import pytest

from nextgpt.serve.engine.base import EngineSettings
from nextgpt.serve.settings import ServerSettings
from nextgpt.testing.serial_engine import SerialEngine

REQUESTS = 2_000
GROWTH_MIB = 200
ROUTES = (
    "/v1/chat/completions",
    "/v1/images/generations",
    "/v1/images/edits",
    "/v1/audio/generate",
    "/v1/embeddings",
    "/v1/videos",
    "/v1/files",
)
VALUES: tuple[object, ...] = (
    None, True, -1, 0, 1e308, 2**70, "", "x" * 5_000, [], {}, [[]], {"a": {"b": []}}, "\ud800", "\0", "[IMG0][EDIT]",
    "file:///etc/passwd", "http://169.254.169.254/", "https://127.0.0.1/", "https://[::1]/", "//evil/x", "nano",
)  # fmt: skip


def valid(route: str, uri: Callable[[str], str]) -> dict[str, Any]:
    """A request that would be served."""
    parts = [
        {"type": "text", "text": "Hm?"},
        {"type": "image_url", "image_url": {"url": uri("image")}},
        {"type": "input_audio", "input_audio": {"data": uri("audio").partition(",")[2], "format": "wav"}},
    ]
    if "chat" in route:
        return {"model": "nano", "messages": [{"role": "user", "content": parts}], "n": 1, "seed": 1}
    return {"input": parts} if "embeddings" in route else {"prompt": "a cat", "n": 1, "seed": 1}


def spoiled(value: Any, draw: random.Random) -> Any:
    """The same with something wrong in one place."""
    if isinstance(value, (dict, list)) and value and draw.random() < 0.8:
        copy: Any = dict(value) if isinstance(value, dict) else list(value)
        key = draw.choice(list(copy) if isinstance(copy, dict) else range(len(copy)))
        copy[key] = spoiled(copy[key], draw)
        return copy
    if isinstance(value, str) and len(value) > 100 and draw.random() < 0.7:
        return _damaged(value, draw)
    return draw.choice(VALUES)


def _damaged(uri: str, draw: random.Random) -> str:
    """A medium with some bytes changed, or cut off."""
    head, _, data = uri.rpartition(",")
    content = bytearray(base64.b64decode(data))
    for _ in range(draw.randint(1, 20)):
        content[draw.randrange(len(content))] = draw.randrange(256)
    damaged = base64.b64encode(content[: draw.randint(1, len(content))]).decode()
    return f"{head},{damaged}" if head else damaged


def request(number: int, uri: Callable[[str], str]) -> tuple[str, bytes, str]:
    """Route, body and content type of one hostile request."""
    draw = random.Random(number)
    route = draw.choice(ROUTES)
    body = json.dumps(spoiled(valid(route, uri), draw)).encode()
    way = draw.random()
    if way < 0.1:
        body = body[: draw.randint(0, len(body))]
    elif way < 0.15:
        body = draw.randbytes(draw.randint(0, 5_000))
    elif way < 0.2:
        body = b'{"a":' * draw.randint(100, 20_000)
    others = ["text/plain", "multipart/form-data; boundary=x", "", "x/y"]
    kind = "application/json" if way < 0.9 else draw.choice(others)
    return route, body, kind


@pytest.mark.slow
def test_hostile_requests_are_refused_and_harm_nobody(
    studio: Any, serving: Callable[..., AbstractContextManager[str]], data_uri: Callable[[str], str]
):
    settings = ServerSettings(max_body_bytes=200_000, body_timeout_s=20)
    engine = SerialEngine(studio, settings=EngineSettings(max_waiting=64))
    with serving(engine, settings) as at, httpx.Client(base_url=at, timeout=120, trust_env=False) as client:

        def send(number: int) -> int:
            route, body, kind = request(number, data_uri)
            answer = client.post(route, content=body, headers={"Content-Type": kind} if kind else {})
            assert "Traceback" not in answer.text and "root:" not in answer.text
            assert answer.status_code < 500, (number, route, answer.status_code, answer.text[:300])
            return answer.status_code

        with ThreadPoolExecutor(8) as pool:
            list(pool.map(send, range(100)))
            before = _resident_mib()
            statuses = list(pool.map(send, range(100, REQUESTS)))
        assert client.get("/health").status_code == 200
        assert statuses.count(400) > len(statuses) / 2
        assert _resident_mib() - before < GROWTH_MIB


def _resident_mib() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() // 2**20
