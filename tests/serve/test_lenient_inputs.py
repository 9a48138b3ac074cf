"""Media as browsers and people write them, and error messages that name the part at fault."""

from __future__ import annotations

import asyncio
import base64
import logging
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import httpx
import numpy as np
import pytest

from nextgpt.errors import ConversationError
from nextgpt.message import Conversation, Sampling
from nextgpt.prompt_template import ChatTemplate
from nextgpt.serve.engine.base import EngineError, EngineRequest, RequestHandle
from nextgpt.serve.engine.request_state import RequestState
from nextgpt.serve.errors import ApiError
from nextgpt.serve.protocol.request_parser import RequestParser
from nextgpt.serve.request_id import REQUEST_ID
from nextgpt.serve.settings import ServerSettings
from nextgpt.testing.tokenizer import tiny_tokenizer

CONTENT = np.random.default_rng(0).bytes(1000)
PLAIN = base64.b64encode(CONTENT).decode()
LINES = "\r\n".join(PLAIN[start : start + 76] for start in range(0, len(PLAIN), 76))


class Undecoded:
    """Stands for the sandbox."""

    async def decode(self, modality: str | None, content: bytes, budget: Any) -> Any:
        return content


def read(reference: str) -> bytes:
    parser = RequestParser.__new__(RequestParser)
    parser.decoder, parser.settings, parser.num_media, parser.base_url = Undecoded(), ServerSettings(), 0, "http://none"
    parser.budget = None
    return asyncio.run(parser.medium(reference, "image", "messages.0"))


@pytest.mark.parametrize(
    "reference",
    [
        pytest.param(PLAIN, id="bare"),
        pytest.param(LINES, id="line breaks"),
        pytest.param(f"data:image/png;base64,{LINES}", id="line breaks in a URI"),
        pytest.param(f" data:image/png;base64, {PLAIN} \n", id="blanks"),
        pytest.param(f"data:image/png;base64,{PLAIN.rstrip('=')}", id="no padding"),
        pytest.param(f"data:image/png;base64,{PLAIN.replace('+', '-').replace('/', '_')}", id="url-safe letters"),
        pytest.param(f"DATA:image/png;base64,{PLAIN}", id="scheme in capitals"),
        pytest.param(f"data:image/png;BASE64,{PLAIN}", id="flag in capitals"),
        pytest.param(f"data:image/png; base64,{PLAIN}", id="blank before the flag"),
        pytest.param(f"data:;base64,{PLAIN}", id="no type"),
        pytest.param(f"data:image/png;name={'x' * 300}.png;base64,{PLAIN}", id="a long name"),
        pytest.param(f"data:image/png;base64,{quote(PLAIN, safe='')}", id="escaped"),
        pytest.param(f"data:image/png,{quote(CONTENT, safe='')}", id="no base64 at all"),
    ],
)
def test_data_uris_are_read_as_browsers_read_them(reference: str) -> None:
    assert read(reference) == CONTENT


@pytest.mark.parametrize("reference", ["data:image/png;base64", "data:image/png;base64,A", "a!b", "data:;base64,====x"])
def test_what_is_no_base64_is_refused(reference: str) -> None:
    with pytest.raises(ApiError, match="data: URI"):
        read(reference)


IMAGE = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PLAIN}"}}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([{"type": "text", "text": "a"}, {"type": "image_url"}], "messages.0.content.1.image_url: Field required."),
        ([IMAGE, {"type": "text"}], "messages.0.content.1.text: Field required."),
        ([{"type": "image_url", "image_url": {"uri": "x"}}], "messages.0.content.0.image_url.url: Field required."),
        ([{"type": "input_audio", "input_audio": {"data": 5}}], "messages.0.content.0.input_audio.data: Input should"),
        ([{"type": "picture", "picture": "x"}], "messages.0.content.0: Input tag 'picture'"),
        ([{"text": "x"}], "messages.0.content.0: Unable to extract tag"),
        (
            [{"type": "text", "text": "a"}, IMAGE],
            "messages.0.content.1: The file has content of unknown type; expected an image",
        ),
        (5, "messages.0.content: Input should be a valid string or a valid list."),
    ],
)
def test_errors_name_the_part_and_what_is_wrong_with_it(http: httpx.Client, content: Any, message: str) -> None:
    """Before, any fault in a list said "content.str: Input should be a valid string"."""
    body = {"model": "nano", "messages": [{"role": "user", "content": content}]}
    answer = http.post("/v1/chat/completions", json=body)
    assert answer.status_code == 400
    error = answer.json()["error"]
    assert error["message"].startswith(message)
    assert error["param"] == message.partition(": ")[0]


@pytest.mark.parametrize(
    ("item", "message"),
    [
        (5, "input.0.message: Input should be a valid dictionary"),
        ({"type": "smell"}, "input.0: The type of the item is unknown; expected message, image_generation_call, "),
        ({"role": "user", "content": [{"type": "input_text"}]}, "input.0.message.content.0.text: Field required."),
        ({"role": "user", "content": [{"type": "text"}]}, "input.0.message.content.0: Input tag 'text'"),
    ],
)
def test_errors_of_responses_name_the_item(http: httpx.Client, item: Any, message: str) -> None:
    answer = http.post("/v1/responses", json={"model": "nano", "input": [item]})
    assert answer.status_code == 400
    assert answer.json()["error"]["message"].startswith(message)


def test_fields_of_a_form_that_are_empty_are_absent(http: httpx.Client, media_bytes: dict[str, bytes]) -> None:
    """HTML forms send all their fields."""
    empty = {"prompt": "x", "n": "", "seed": "", "model": ""}
    answer = http.post("/v1/images/edits", data=empty, files={"image": ("a.png", media_bytes["image"])})
    assert answer.status_code == 200, answer.text
    answer = http.post("/v1/images/edits", data=empty | {"n": "two"}, files={"image": ("a", media_bytes["image"])})
    assert answer.status_code == 400 and answer.json()["error"]["param"] == "n"


def test_a_form_may_name_its_image_as_json_does(http: httpx.Client, data_uri: Callable[[str], str]) -> None:
    answer = http.post("/v1/images/edits", files={"prompt": (None, "x"), "image": (None, data_uri("image"))})
    assert answer.status_code == 200, answer.text


@pytest.mark.parametrize("form", ["{id}", "/v1/files/{id}/content", "v1/files/{id}/content", "./v1/files/{id}/content"])
def test_addresses_of_images_may_be_relative(http: httpx.Client, media_bytes: dict[str, bytes], form: str) -> None:
    file_id = http.post("/v1/files", files={"file": ("a.png", media_bytes["image"])}).json()["id"]
    image = {"type": "image_url", "image_url": {"url": form.format(id=file_id)}}
    body = {"model": "nano", "messages": [{"role": "user", "content": [image]}]}
    assert http.post("/v1/chat/completions", json=body).status_code == 200


def test_a_template_that_refuses_a_role_says_so_in_its_own_words() -> None:
    tokenizer = tiny_tokenizer()
    tokenizer.chat_template = (
        "{% for m in messages %}{% if m.role == 'system' %}{{ raise_exception('System role not supported') }}"
        "{% endif %}{{ m.content }}{% endfor %}"
    )
    template = ChatTemplate(tokenizer, end_of_turn="")
    assert template.turn_delimiters(["user"], add_generation_prompt=False) == ["", ""]
    with pytest.raises(ConversationError, match="System role not supported"):
        template.turn_delimiters(["system", "user"], add_generation_prompt=False)


def fail(error: Exception) -> Exception:
    """Let a request fail in an engine; return what its client sees."""

    async def run() -> Exception:
        REQUEST_ID.set("req-7")
        state = RequestState(0, RequestHandle(EngineRequest(Conversation().with_message("x"), Sampling())))
        state.fail(error)
        with pytest.raises(Exception) as raised:
            await state.handle.result()
        return raised.value

    return asyncio.run(run())


def test_internal_errors_of_an_engine_are_logged_with_the_request_and_hidden(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR, "nextgpt.serve"):
        assert isinstance(fail(KeyError("a secret")), EngineError)
    (record,) = caplog.records
    assert "req-7" in record.getMessage()
    assert record.exc_info is not None and isinstance(record.exc_info[1], KeyError)
    caplog.clear()
    assert isinstance(fail(ConversationError("too long")), ConversationError)
    assert not caplog.records


def test_a_body_without_its_type_is_json_and_a_compressed_one_is_refused_clearly(http: httpx.Client) -> None:
    content = b'{"model": "nano", "messages": [{"role": "user", "content": "x"}]}'
    request = http.build_request("POST", "/v1/chat/completions", content=content)
    assert "content-type" not in request.headers
    assert http.send(request).status_code == 200
    answer = http.post("/v1/chat/completions", content=content, headers={"Content-Encoding": "gzip"})
    assert answer.status_code == 415
    assert "Send it uncompressed" in answer.json()["error"]["message"]


@pytest.mark.parametrize("path", ["/health", "/ready", "/v1/models", "/version", "/"])
def test_head_is_answered_as_get_without_a_body(http: httpx.Client, path: str) -> None:
    whole, head = http.get(path), http.head(path)
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-type"] == whole.headers["content-type"]
