"""``response_format`` of chat completions and ``text.format`` of responses are one thing."""

from __future__ import annotations

import json
from typing import Any

import pytest

from nextgpt.message import Sampling
from nextgpt.model.llm import json_constraint
from nextgpt.serve.errors import ApiError
from nextgpt.serve.protocol.chat import ChatRequest, to_samplings
from nextgpt.serve.protocol.responses_request import ResponseRequest, input_items
from nextgpt.serve.settings import ServerSettings

SCHEMA = {"type": "object", "properties": {"kind": {"type": "string"}}, "required": ["kind"]}


def chat(response_format: Any, **fields: Any) -> Sampling:
    body = {"model": "nano", "messages": [{"role": "user", "content": "x"}], "response_format": response_format}
    (sampling,) = to_samplings(ChatRequest(**body | fields), ("text", "image"), ServerSettings())
    return sampling


def response(text_format: Any) -> Sampling:
    request = ResponseRequest(model="nano", input="x", text={"format": text_format})
    request_chat = request.to_chat(input_items(request.input))
    (sampling,) = to_samplings(request_chat, ("text",), ServerSettings(), format_field="text.format")
    return sampling


def test_both_dialects_ask_for_the_same() -> None:
    nested = chat({"type": "json_schema", "json_schema": {"name": "x", "schema": SCHEMA, "strict": True}})
    flat = response({"type": "json_schema", "name": "x", "schema": SCHEMA})
    assert json.loads(nested.json_schema or "") == json.loads(flat.json_schema or "") == SCHEMA
    for either in (chat, response):
        assert json.loads(either({"type": "json_object"}).json_schema or "") == {"type": "object"}
        assert either({"type": "text"}).json_schema is None
    assert chat(None).json_schema is None


@pytest.mark.parametrize(
    ("text_format", "message"),
    [
        ({"type": "json_schema", "json_schema": {"name": "x"}}, "response_format.json_schema.schema is missing"),
        (
            {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "smell"}}},
            "response_format: The JSON schema cannot be followed",
        ),
    ],
)
def test_schemas_that_cannot_be_followed_are_the_clients_own_error(text_format: Any, message: str) -> None:
    with pytest.raises(ApiError, match=message) as error:
        chat(text_format)
    assert error.value.status_code == 400


def test_media_beside_json_are_refused() -> None:
    assert chat({"type": "json_object"}, modalities=["text"]).json_schema
    with pytest.raises(ApiError, match="response_format is JSON beside modalities text, image"):
        chat({"type": "json_object"}, modalities=["text", "image"])


def test_a_server_without_the_package_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_constraint, "is_available", lambda: False)
    for either in (chat, response):
        with pytest.raises(ApiError, match="llguidance, which is not installed") as error:
            either({"type": "json_object"})
        assert error.value.status_code == 400
