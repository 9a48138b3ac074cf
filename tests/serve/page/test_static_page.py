"""The files of the chat page over HTTP, without a browser: policy, cache, compression, keys."""

from __future__ import annotations

import gzip
import re
from collections.abc import Iterator

import httpx
import pytest

from nextgpt.serve.static_page import STATIC, static_files

KEY = "open sesame"
MODULES = sorted(path.name for path in STATIC.glob("*.js"))


@pytest.fixture(scope="module")
def http(chat: str) -> Iterator[httpx.Client]:
    """A client of a server without keys."""
    with httpx.Client(base_url=chat, trust_env=False, timeout=60) as client:
        yield client


@pytest.fixture
def keyed(keyed_chat: str) -> Iterator[httpx.Client]:
    """A client without a key, of a server that wants one."""
    with httpx.Client(base_url=keyed_chat, trust_env=False, timeout=60) as client:
        yield client


def _addresses(page: str) -> list[str]:
    return re.findall(r'(?:href|src)="([^"]+)"', page)


def test_the_policy_allows_files_of_this_server_alone(http: httpx.Client) -> None:
    policy = http.get("/").raise_for_status().headers["content-security-policy"]
    rules = dict(rule.split(" ", 1) for rule in policy.split("; "))
    assert rules["default-src"] == "'none'"
    assert rules["script-src"] == rules["style-src"] == rules["connect-src"] == "'self'"
    assert rules["require-trusted-types-for"] == "'script'"
    assert "unsafe" not in policy and "http" not in policy


def test_the_page_names_files_of_this_server_alone(http: httpx.Client) -> None:
    addresses = _addresses(http.get("/").text)
    assert len(addresses) >= len(MODULES)
    for address in addresses:
        assert address.startswith("/") and not address.startswith("//")
        assert http.get(address).status_code == 200, address


def test_no_file_of_the_page_names_another_host_or_parses_html() -> None:
    allowed = {"http://www.w3.org/2000/svg"}
    for path in STATIC.iterdir():
        text = path.read_text()
        assert set(re.findall(r"https?://[\w./-]+", text)) <= allowed, path.name
        assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function", text)
    assert not re.search(r"<script(?![^>]*\ssrc=)|<style|\son\w+=|\sstyle=", (STATIC / "index.html").read_text())


def test_every_module_is_fetched_at_once(http: httpx.Client) -> None:
    named = [address.rsplit("/", 1)[1] for address in _addresses(http.get("/").text) if address.endswith(".js")]
    assert sorted(named) == MODULES


def test_files_are_cached_for_good_and_the_page_is_revalidated(http: httpx.Client) -> None:
    page = http.get("/")
    assert page.headers["cache-control"] == "no-cache"
    again = http.get("/", headers={"If-None-Match": page.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    module = next(address for address in _addresses(page.text) if address.endswith("chat.js"))
    assert http.get(module).headers["cache-control"] == "public, max-age=31536000, immutable"
    assert http.get(module.replace(static_files()[0], "0" * 16)).status_code == 404


def test_files_are_compressed_where_the_client_takes_it(http: httpx.Client) -> None:
    address = f"/static/{static_files()[0]}/chat.css"
    packed = http.get(address, headers={"Accept-Encoding": "gzip"})
    plain = http.get(address, headers={"Accept-Encoding": "identity"})
    assert packed.headers["content-encoding"] == "gzip" and "content-encoding" not in plain.headers
    assert packed.content == plain.content
    assert int(packed.headers["content-length"]) < len(plain.content) / 2
    assert packed.headers["vary"] == "Accept-Encoding"
    assert gzip.decompress(gzip.compress(plain.content)) == plain.content


@pytest.mark.parametrize(
    ("name", "media_type"), [("chat.js", "text/javascript"), ("chat.css", "text/css"), ("icon.svg", "image/svg+xml")]
)
def test_files_have_their_type(http: httpx.Client, name: str, media_type: str) -> None:
    response = http.get(f"/static/{static_files()[0]}/{name}")
    assert response.headers["content-type"].split(";")[0] == media_type
    assert response.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("name", ["index.html", "../app.py", "%2e%2e%2fapp.py", "nothing.js", ""])
def test_no_other_file_is_served(http: httpx.Client, name: str) -> None:
    assert http.get(f"/static/{static_files()[0]}/{name}").status_code == 404


def test_the_page_needs_no_key_and_everything_else_does(keyed: httpx.Client) -> None:
    page = keyed.get("/").raise_for_status()
    for address in _addresses(page.text):
        if address.startswith("/static/"):
            assert keyed.get(address).status_code == 200, address
    assert keyed.get("/favicon.ico", follow_redirects=True).headers["content-type"] == "image/svg+xml"
    for path in ("/v1/models", "/v1/files", "/metrics", "/static", "/chat"):
        assert keyed.get(path).status_code == 401, path
    assert keyed.get("/v1/models", headers={"Authorization": f"Bearer {KEY}"}).status_code == 200


def test_no_cookie_is_set(http: httpx.Client) -> None:
    http.get("/")
    http.get("/v1/models")
    assert not http.cookies


def test_the_model_states_what_the_settings_may_be(http: httpx.Client) -> None:
    (model,) = http.get("/v1/models").json()["data"]
    limits = model["limits"]
    assert {"max_media", "max_medium_bytes", "max_tokens", "max_inference_steps", "max_guidance_scale"} <= set(limits)
    assert all(value > 0 for value in limits.values())
