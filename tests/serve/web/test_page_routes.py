"""What the chat page asks for over HTTP, without a browser: the key, files of a conversation, the page itself."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from nextgpt.serve.guard import PASS_COOKIE, page_pass

KEY = "open sesame"


@pytest.fixture(scope="module")
def plain(chat: str) -> Iterator[httpx.Client]:
    """A client of a server without keys."""
    with httpx.Client(base_url=chat, trust_env=False, timeout=60) as client:
        yield client


@pytest.fixture
def keyed(keyed_chat: str) -> Iterator[httpx.Client]:
    """A client of a server with a key, who has none."""
    with httpx.Client(base_url=keyed_chat, trust_env=False, timeout=60) as client:
        yield client


@pytest.fixture(scope="module")
def room(plain: httpx.Client, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A conversation that was brought along."""
    from nextgpt.message import Conversation
    from nextgpt.serve.web.archive import pack

    path = pack(Conversation().say("hello"), tmp_path_factory.mktemp("zip") / "a.zip")
    return str(plain.post("/chat/rooms", content=path.read_bytes()).raise_for_status().json()["room"])


@pytest.mark.parametrize("path", ["/", "/chat", "/chat/"])
def test_a_person_without_a_key_is_sent_to_the_door(keyed: httpx.Client, path: str) -> None:
    sent = keyed.get(path)
    assert (sent.status_code, sent.headers["location"]) == (303, "/chat/key")
    assert keyed.get("/chat/key").status_code == 200
    assert keyed.get("/chat/page/chat.css").status_code == 200
    assert keyed.get("/favicon.ico", follow_redirects=True).status_code == 200


def test_nothing_else_of_the_page_is_open_without_a_key(keyed: httpx.Client) -> None:
    for path in ("/chat/config", "/chat/page/chat.js", "/chat/rooms/0/export", "/chat/keys", "/chat/key/x"):
        assert keyed.get(path).status_code == 401, path
    for path in ("/chat/rooms", "/chat/gradio_api/upload", "/chat/gradio_api/queue/join"):
        assert keyed.post(path).status_code == 401, path


@pytest.mark.parametrize("typed", ["", "wrong", KEY.upper(), "é" * 5000])
def test_a_wrong_key_is_refused(keyed: httpx.Client, typed: str) -> None:
    answer = keyed.post("/chat/key", data={"key": typed})
    assert answer.status_code == 401
    assert "not known" in answer.text
    assert not keyed.cookies


def test_the_right_key_opens_the_page_and_nothing_else(keyed: httpx.Client) -> None:
    answer = keyed.post("/chat/key", data={"key": KEY})
    assert (answer.status_code, answer.headers["location"]) == (303, "/chat/")
    cookie = answer.headers["set-cookie"].lower()
    assert all(word in cookie for word in ("httponly", "samesite=strict", "path=/chat"))
    assert KEY not in answer.headers["set-cookie"]
    assert keyed.get("/chat/").status_code == 200
    shown = {PASS_COOKIE: keyed.cookies[PASS_COOKIE]}
    assert httpx.get(f"{keyed.base_url}/v1/models", cookies=shown, trust_env=False).status_code == 401


def test_a_key_in_the_header_opens_the_page_too(keyed: httpx.Client) -> None:
    assert keyed.get("/chat/", headers={"Authorization": f"Bearer {KEY}"}).status_code == 200


def test_another_key_has_another_pass() -> None:
    assert page_pass(b"a") != page_pass(b"b")


def test_another_site_cannot_post_a_key(keyed: httpx.Client) -> None:
    answer = keyed.post("/chat/key", data={"key": KEY}, headers={"Origin": "https://elsewhere.example"})
    assert answer.status_code == 403


def test_the_page_names_no_other_machine(plain: httpx.Client) -> None:
    page = plain.get("/chat/")
    tags = re.findall(r"<(?:link|script|img|iframe)[^>]*(?:src|href)=\"(https?:)?//[^\"]*\"", page.text)
    assert tags == []
    policy = page.headers["content-security-policy"]
    assert "http" not in policy
    assert "'unsafe-inline'" not in re.search("script-src[^;]*", policy)[0]


def test_a_file_is_read_and_given_back_in_parts(
    plain: httpx.Client, room: str, files: dict[str, Path]
) -> None:
    part = (
        plain.post(f"/chat/rooms/{room}/media", content=files["video"].read_bytes()).raise_for_status().json()
    )
    assert (part["kind"], part["width"], part["height"]) == ("video", 8, 8)
    where = f"/chat/rooms/{room}/media/{part['name']}"
    whole = plain.get(where)
    assert whole.headers["content-type"] == "video/mp4"
    assert whole.headers["x-content-type-options"] == "nosniff"
    assert "default-src 'none'" in whole.headers["content-security-policy"]
    some = plain.get(where, headers={"Range": "bytes=0-9"})
    assert (some.status_code, some.content) == (206, whole.content[:10])


def test_a_sound_without_pictures_in_a_container_of_films_is_a_sound(
    plain: httpx.Client, room: str, tmp_path: Path
) -> None:
    import av
    import numpy as np

    with av.open(str(tmp_path / "a.webm"), "w") as container:
        stream = container.add_stream("libopus", rate=48_000)
        frame = av.AudioFrame.from_ndarray(np.zeros((2, 4800), np.float32), format="fltp", layout="stereo")
        frame.sample_rate = 48_000
        for packet in (*stream.encode(frame), *stream.encode(None)):
            container.mux(packet)
    answer = plain.post(f"/chat/rooms/{room}/media", content=(tmp_path / "a.webm").read_bytes())
    assert answer.json()["kind"] == "audio"


def test_what_is_not_there_is_told(plain: httpx.Client, room: str) -> None:
    for path in (f"/chat/rooms/{'0' * 32}/export", f"/chat/rooms/{room}/media/image-00.png"):
        answer = plain.get(path)
        assert answer.status_code == 404
        assert "not kept any more" in answer.json()["error"]["message"]


def test_a_turn_that_was_not_answered_here_has_no_request(plain: httpx.Client, room: str) -> None:
    where = f"/chat/rooms/{room}/turns/0/request"
    answer = plain.get(where, params={"base": f"{plain.base_url}v1"})
    assert answer.status_code == 404
    assert "Nothing is known" in answer.json()["error"]["message"]
    assert plain.get(where, params={"base": "http://x/$(id)"}).status_code == 400


@pytest.mark.parametrize(("content", "said"), [(b"%PDF-1.7", "PDF document"), (b"", "no known type")])
def test_a_file_that_is_no_medium_is_refused(
    plain: httpx.Client, room: str, content: bytes, said: str
) -> None:
    answer = plain.post(f"/chat/rooms/{room}/media", content=content)
    assert answer.status_code == 400
    assert said in answer.json()["error"]["message"]


def test_a_file_that_is_too_large_is_refused_while_it_comes(plain: httpx.Client, room: str) -> None:
    answer = plain.post(f"/chat/rooms/{room}/media", content=bytes(33 * 2**20))
    assert answer.status_code == 413


def test_a_conversation_that_is_left_is_gone(plain: httpx.Client, room: str) -> None:
    brought: Any = plain.post("/chat/rooms", content=plain.get(f"/chat/rooms/{room}/export").content).json()
    assert plain.delete(f"/chat/rooms/{brought['room']}").status_code == 204
    assert plain.get(f"/chat/rooms/{brought['room']}/export").status_code == 404
