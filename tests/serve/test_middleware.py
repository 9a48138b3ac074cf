"""Who may ask, how much, and what every answer carries. All traffic stays on loopback."""

from __future__ import annotations

import base64
import json
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any

import httpx
import pytest

from nextgpt.serve.engine.base import EngineSettings
from nextgpt.serve.settings import ServerSettings
from nextgpt.testing.serial_engine import SerialEngine

Serving = Callable[..., AbstractContextManager[str]]
KEY, OTHER = "first-key", "second-key"
SETTINGS = ServerSettings(
    api_keys=(KEY, OTHER),
    max_body_bytes=20_000,
    body_timeout_s=1.0,
    max_medium_bytes=8_000,
    max_pixels=10_000,
    requests_per_minute=200,
)


@pytest.fixture(scope="module")
def guarded(studio: Any, serving: Serving) -> Iterator[httpx.Client]:
    """A server with two keys and low limits; one answer at a time, two may wait."""
    engine = SerialEngine(studio, settings=EngineSettings(max_waiting=2))
    with serving(engine, SETTINGS) as at, httpx.Client(base_url=at, timeout=60, trust_env=False) as client:
        yield client


def bearer(key: str = KEY) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


def chat(content: object, **more: object) -> dict[str, object]:
    return {"model": "nano", "messages": [{"role": "user", "content": content}]} | more


PATHS = ["/v1/models", "/v1/files", "/metrics", "/ready", "/version", "/docsx", "/static", "/nothing"]


@pytest.mark.parametrize("path", PATHS)
def test_every_route_wants_a_key_by_default(guarded: httpx.Client, path: str):
    refused = guarded.get(path)
    assert refused.status_code == 401 and refused.headers["www-authenticate"] == "Bearer"
    assert guarded.get(path, headers=bearer("wrong")).status_code == 401
    assert guarded.get(path, headers={"Authorization": KEY}).status_code == 401
    assert guarded.get(path, headers=bearer(OTHER)).status_code != 401


@pytest.mark.parametrize("path", ["/health", "/", "/docs", "/docs/start.js", "/openapi.json"])
def test_health_and_pages_without_secrets_need_no_key(guarded: httpx.Client, path: str):
    assert guarded.get(path).status_code == 200


def test_files_are_seen_by_their_owner_alone(guarded: httpx.Client, media_bytes: dict[str, bytes]):
    files = {"file": ("x.png", media_bytes["image"])}
    file = guarded.post("/v1/files", files=files, headers=bearer(KEY)).json()
    path = f"/v1/files/{file['id']}"
    assert guarded.get(path, headers=bearer(KEY)).status_code == 200
    for method, at in (("GET", path), ("GET", f"{path}/content"), ("DELETE", path)):
        assert guarded.request(method, at, headers=bearer(OTHER)).status_code == 404
    assert guarded.get("/v1/files", headers=bearer(OTHER)).json()["data"] == []
    said = chat([{"type": "file", "file": {"file_id": file["id"]}}])
    assert guarded.post("/v1/chat/completions", json=said, headers=bearer(OTHER)).status_code == 404


def test_every_answer_says_that_it_is_not_to_be_run(guarded: httpx.Client):
    for answer in (guarded.get("/health"), guarded.get("/nothing"), guarded.get("/v1/models", headers=bearer())):
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert "default-src 'none'" in answer.headers["content-security-policy"]
        assert answer.headers["x-request-id"].startswith("req-")
        assert "server" not in answer.headers


def test_another_host_name_is_refused(guarded: httpx.Client):
    for host in ("evil.example", "127.0.0.1.evil.example", "", "[broken"):
        assert guarded.get("/health", headers={"Host": host}).status_code == 400
    assert guarded.get("/health", headers={"Host": "localhost:1"}).status_code == 200


def test_another_sites_page_is_refused(guarded: httpx.Client):
    assert guarded.get("/health", headers={"Origin": "https://evil.example"}).status_code == 403
    assert guarded.get("/health", headers={"Origin": "null"}).status_code == 403
    own = str(guarded.base_url).rstrip("/")
    assert guarded.get("/health", headers={"Origin": own}).status_code == 200


def test_a_body_that_announces_too_much_is_refused_unread(guarded: httpx.Client):
    answer = guarded.post("/v1/chat/completions", content=b"x" * 20_001, headers=bearer())
    assert answer.status_code == 413 and answer.json()["error"]["type"] == "invalid_request_error"


def test_a_body_without_announced_length_is_counted(guarded: httpx.Client):
    def pieces() -> Iterator[bytes]:
        for _ in range(30):
            yield b"x" * 1000

    headers = bearer() | {"Content-Type": "application/json"}
    assert guarded.post("/v1/chat/completions", content=pieces(), headers=headers).status_code == 413


def test_a_slow_body_does_not_hold_its_place(guarded: httpx.Client):
    head = (
        f"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {KEY}\r\n"
        "Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{"
    )
    with socket.create_connection(("127.0.0.1", guarded.base_url.port), timeout=30) as slow:
        slow.sendall(head.encode())
        assert guarded.get("/health").status_code == 200, "others are served meanwhile"
        assert b" 408 " in slow.recv(4096)


@pytest.mark.parametrize(
    "content",
    [
        b"{",
        b"[]",
        b"null",
        b'"' + b"a" * 100,
        b"[" * 9_000,
        b'{"model": "nano", "messages": [{"role": "user", "content": ' + b"[" * 9_000,
        b'{"model": "nano", "messages": [{"role": "boss", "content": "x"}]}',
        b'{"model": "nano", "messages": [{"role": "user", "content": [{"type": "tool"}]}]}',
        b'{"model": "nano", "messages": [{"role": "user", "content": "x"}], "n": 1e99}',
        b'{"model": "nano", "messages": [{"role": "user", "content": "x"}], "seed": -2}',
        b'{"model": "nano", "messages": [{"role": "user", "content": "x"}], "temperature": NaN}',
        b'{"model": "nano", "messages": "x"}',
        b"\xff\xfe\x00",
    ],
)
def test_nonsense_is_a_400_without_a_traceback(guarded: httpx.Client, content: bytes):
    headers = bearer() | {"Content-Type": "application/json"}
    answer = guarded.post("/v1/chat/completions", content=content, headers=headers)
    assert answer.status_code == 400
    assert set(answer.json()["error"]) == {"message", "type", "param", "code"}
    assert "Traceback" not in answer.text and "a" * 50 not in answer.text


def _png(width: int, height: int) -> bytes:
    import struct
    import zlib

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(b"\0" * 100)) + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    ("url", "status"),
    [
        ("data:image/png;base64," + base64.b64encode(_png(30_000, 30_000)).decode(), 400),
        ("data:image/png;base64," + base64.b64encode(_png(8, 8)[:40]).decode(), 400),
        ("data:image/png;base64," + "A" * 12_000, 413),
        ("data:image/png;base64,@@@@", 400),
        ("data:image/png,plain", 400),
        ("data:,", 400),
        ("data:image/svg+xml;base64," + base64.b64encode(b"<svg/>").decode(), 400),
        ("file:///etc/passwd", 400),
        ("/etc/passwd", 400),
        ("../../etc/passwd", 400),
        ("file-../../etc/passwd", 404),
        ("/v1/files/../../etc/passwd", 404),
        ("file-" + "0" * 32, 404),
        ("http://169.254.169.254/latest/meta-data", 400),
        ("https://localhost/x.png", 400),
        ("", 400),
    ],
)
def test_hostile_media_are_refused(guarded: httpx.Client, url: str, status: int):
    said = chat([{"type": "image_url", "image_url": {"url": url}}])
    answer = guarded.post("/v1/chat/completions", json=said, headers=bearer())
    assert answer.status_code == status, answer.text
    assert "root:" not in answer.text and "Traceback" not in answer.text


def test_a_client_that_leaves_a_stream_ends_the_work(guarded: httpx.Client, studio: Any):
    studio.closed.clear()
    asked = chat("slow", stream=True)
    with guarded.stream("POST", "/v1/chat/completions", json=asked, headers=bearer()) as answer:
        lines = answer.iter_lines()  # kept: an iterator that is forgotten closes the connection
        next(lines)
    assert studio.closed.wait(30)


def test_a_client_that_leaves_while_it_waits_ends_the_work(guarded: httpx.Client, studio: Any):
    studio.closed.clear()
    with pytest.raises(httpx.ReadTimeout):
        guarded.post("/v1/chat/completions", json=chat("slow"), headers=bearer(), timeout=1.0)
    assert studio.closed.wait(30)


def test_more_than_may_wait_is_told_when_to_come_back(guarded: httpx.Client):
    answer = guarded.post("/v1/chat/completions", json=chat("x", n=3), headers=bearer())
    assert answer.status_code == 429 and int(answer.headers["retry-after"]) >= 1
    assert answer.json()["error"]["code"] == "queue_full"


def test_one_key_may_ask_so_often_in_a_minute(studio: Any, serving: Serving):
    settings = ServerSettings(api_keys=(KEY, OTHER), requests_per_minute=2)
    with serving(SerialEngine(studio), settings) as at, httpx.Client(base_url=at, trust_env=False) as client:
        statuses = [client.get("/v1/models", headers=bearer()).status_code for _ in range(3)]
        assert statuses == [200, 200, 429]
        assert client.get("/v1/models", headers=bearer(OTHER)).status_code == 200


def test_one_key_may_have_so_many_open(studio: Any, serving: Serving):
    settings = ServerSettings(api_keys=(KEY, OTHER), max_concurrent_requests=1)
    engine = SerialEngine(studio)
    with serving(engine, settings) as at, httpx.Client(base_url=at, timeout=60, trust_env=False) as client:
        asked = chat("slow", stream=True)
        with client.stream("POST", "/v1/chat/completions", json=asked, headers=bearer()) as answer:
            lines = answer.iter_lines()  # kept: an iterator that is forgotten closes the connection
            next(lines)
            assert client.get("/v1/models", headers=bearer()).status_code == 429
            assert client.get("/v1/models", headers=bearer(OTHER)).status_code == 200
        deadline = time.monotonic() + 30
        while client.get("/v1/models", headers=bearer()).status_code == 429 and time.monotonic() < deadline:
            time.sleep(0.05)
        assert client.get("/v1/models", headers=bearer()).status_code == 200


def test_files_expire_and_stay_within_their_quota(media_bytes: dict[str, bytes]):
    from nextgpt.serve.errors import ApiError
    from nextgpt.serve.file_store import FileStore

    def add(store: FileStore, size: int, owner: str = "a") -> str:
        return store.put(b"x" * size, owner=owner, name="x", media_type="image/png", purpose="p").id

    store = FileStore(ttl_s=0.5, max_bytes_per_owner=100, max_files_per_owner=3)
    first, other = add(store, 60), add(store, 90, owner="b")
    second = add(store, 60)
    assert [file.id for file in store.list("a")] == [second], "the oldest of the same owner made room"
    assert [file.id for file in store.list("b")] == [other]
    with pytest.raises(ApiError):
        add(store, 101)
    with pytest.raises(ApiError):
        store.read(first, "a")
    time.sleep(1.6)
    assert store.list("a") == [] and store.list("b") == []
    store.close()


def test_an_error_of_ours_says_nothing_of_the_inside(guarded: httpx.Client, studio: Any, monkeypatch):
    def broken(*_: object) -> Iterator[None]:
        raise RuntimeError("secret inner words")

    monkeypatch.setattr(studio, "stream", broken)
    answer = guarded.post("/v1/chat/completions", json=chat("x"), headers=bearer())
    assert answer.status_code == 503 and "secret" not in answer.text
    assert json.loads(answer.text)["error"]["type"] == "service_unavailable_error"


def test_a_request_id_of_the_client_is_returned(guarded: httpx.Client):
    assert guarded.get("/health", headers={"X-Request-Id": "abc-1"}).headers["x-request-id"] == "abc-1"
    for invalid in ("", "a b", "x" * 65, "ü"):
        answer = guarded.get("/health", headers={"X-Request-Id": invalid.encode()})
        assert answer.headers["x-request-id"].startswith("req-")


def test_health_and_readiness_answer_head(guarded: httpx.Client):
    assert guarded.head("/health").status_code == 200
    assert guarded.head("/ready", headers=bearer()).status_code == 200


def test_allowed_origins_may_call_the_api_and_others_may_not(studio: Any, serving: Serving):
    settings = ServerSettings(api_keys=(KEY,), allowed_origins=("https://app.example.org",))
    preflight = {
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization, content-type",
    }
    with serving(SerialEngine(studio), settings) as at, httpx.Client(base_url=at, trust_env=False) as client:
        allowed, other = {"Origin": "https://app.example.org"}, {"Origin": "https://evil.example"}
        answer = client.options("/v1/chat/completions", headers=allowed | preflight)
        assert answer.status_code == 200 and "authorization" in answer.headers["access-control-allow-headers"]
        answer = client.get("/v1/models", headers=allowed | bearer())
        assert answer.headers["access-control-allow-origin"] == allowed["Origin"]
        assert "access-control-allow-credentials" not in answer.headers
        answer = client.get("/v1/models", headers=allowed)
        assert answer.status_code == 401 and answer.headers["access-control-allow-origin"] == allowed["Origin"]
        assert client.options("/v1/chat/completions", headers=other | preflight).status_code == 403
        assert client.get("/v1/models", headers=other | bearer()).status_code == 403
