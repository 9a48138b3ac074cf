"""Only URLs that the operator allowed are fetched. Nothing here touches a network: resolver and transport are fakes
that record what would have been reached."""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest

import nextgpt
from nextgpt.serve.errors import ApiError
from nextgpt.serve.url_fetch import fetch, is_public

PUBLIC = "93.184.215.14"


class Body(httpx.AsyncByteStream):
    """A body that arrives in pieces."""

    def __init__(self, content: bytes) -> None:
        self._content = content

    async def __aiter__(self):
        for start in range(0, len(self._content), 50):
            yield self._content[start : start + 50]


@dataclass
class Net:
    """Names with addresses, and responses by target."""

    names: dict[str, list[str]]
    pages: dict[str, httpx.Response] = field(default_factory=dict)
    reached: list[tuple[str, str, str]] = field(default_factory=list)

    async def resolve(self, host: str) -> list[str]:
        return self.names.get(host, [])

    def respond(self, request: httpx.Request) -> httpx.Response:
        host, target = request.headers["host"], request.url.raw_path.decode()
        assert request.extensions["sni_hostname"] == host, "the certificate is checked against the name"
        self.reached.append((request.url.host, host, target))
        return self.pages.get(target) or page(b"content")

    def fetch(self, url: str, *, domains: tuple[str, ...] = ("ok.example",), max_bytes: int = 100) -> bytes:
        transport = httpx.MockTransport(self.respond)
        return asyncio.run(fetch(url, domains=domains, max_bytes=max_bytes, resolve=self.resolve, transport=transport))


def page(content: bytes, status: int = 200, **headers: str) -> httpx.Response:
    return httpx.Response(status, headers=headers, stream=Body(content))


def moved(to: str) -> httpx.Response:
    return page(b"", 302, location=to)


def test_an_allowed_domain_is_fetched_from_the_address_that_was_checked():
    net = Net({"cdn.ok.example": [PUBLIC]})
    assert net.fetch("https://cdn.ok.example/a.png?x=1") == b"content"
    assert net.reached == [(PUBLIC, "cdn.ok.example", "/a.png?x=1")]


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/passwd",
        "http://ok.example/",
        "ftp://ok.example/",
        "gopher://ok.example/",
        "https://evil.example/",
        "https://ok.example.evil.example/",
        "https://notok.example/",
        "https://ok.example:22/",
        "https://user@ok.example/",
        "https://ok.example@evil.example/",
        "https://127.0.0.1/",
        "https://[::1]/",
        "https://2130706433/",
        "https://ok.example/\r\nHost: evil",
        "https://[broken/",
        "https://",
    ],
)
def test_nothing_else_is_reached(url: str):
    net = Net({host: [PUBLIC] for host in ("ok.example", "evil.example", "127.0.0.1", "::1", "2130706433")})
    with pytest.raises(ApiError, match="URL"):
        net.fetch(url)
    assert net.reached == []


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "10.0.0.1",
        "172.16.3.4",
        "192.168.1.1",
        "169.254.169.254",
        "100.64.0.1",
        "0.0.0.0",
        "255.255.255.255",
        "224.0.0.1",
        "198.18.0.1",
        "::1",
        "::",
        "fe80::1%eth0",
        "fd00::1",
        "::ffff:127.0.0.1",
        "::ffff:a9fe:a9fe",
        "64:ff9b::7f00:1",
        "2002:7f00:1::",
        "ff02::1",
    ],
)
def test_an_address_that_is_not_public_is_never_reached(address: str):
    assert not is_public(address)
    net = Net({"ok.example": [PUBLIC, address]})
    with pytest.raises(ApiError, match="not public"):
        net.fetch("https://ok.example/")
    assert net.reached == []


def test_every_redirect_is_checked_anew():
    net = Net({"ok.example": [PUBLIC], "in.ok.example": ["10.0.0.1"]})
    for target in ("https://in.ok.example/", "https://evil.example/", "http://ok.example/", "file:///etc/passwd", ""):
        net.pages["/"] = moved(target)
        net.reached.clear()
        with pytest.raises(ApiError):
            net.fetch("https://ok.example/")
        assert {host for _, host, _ in net.reached} == {"ok.example"}


def test_redirects_within_the_allowed_domain_are_followed_three_times_at_most():
    net = Net({"ok.example": [PUBLIC]}, {"/1": moved("/2"), "/2": moved("https://ok.example/3"), "/4": moved("/4")})
    assert net.fetch("https://ok.example/1") == b"content"
    with pytest.raises(ApiError, match="redirects"):
        net.fetch("https://ok.example/4")


def test_a_file_that_is_too_large_is_read_no_further():
    net = Net({"ok.example": [PUBLIC]}, {"/a": page(b"x" * 101), "/b": page(b"", **{"content-length": "10" * 9})})
    for target in ("a", "b"):
        with pytest.raises(ApiError, match="larger than"):
            net.fetch(f"https://ok.example/{target}")


def test_without_allowed_domains_nothing_is_fetched():
    net = Net({"ok.example": [PUBLIC]})
    with pytest.raises(ApiError, match="not fetched by this server"):
        net.fetch("https://ok.example/", domains=())
    assert net.reached == []


def test_no_other_code_of_the_server_connects_to_anything():
    folder = Path(nextgpt.__file__).parent / "serve"
    connects = re.compile(
        r"open_connection|create_connection|urlopen|getaddrinfo|"
        r"(import|from) (requests|httpx|aiohttp|urllib\.request|http\.client)"
    )
    found = {path.name for path in folder.rglob("*.py") if connects.search(path.read_text())}
    assert found == {"url_fetch.py", "app.py", "state.py"}  # the last two annotate the transport of tests
    for name in ("app.py", "state.py"):
        assert set(re.findall(r"httpx\.\w+", (next(folder.glob(name))).read_text())) == {"httpx.AsyncBaseTransport"}
