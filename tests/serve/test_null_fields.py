"""``null`` means that a field is absent: in every optional field of every route, at every depth."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx
import pytest

USER = {"role": "user", "content": [{"type": "text", "text": "x"}]}
REQUESTS: dict[str, dict[str, Any]] = {
    "/v1/chat/completions": {
        "model": "nano",
        "messages": [
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "x"},
                    {"type": "image_url", "image_url": {"url": "IMAGE"}},
                    {"type": "input_audio", "input_audio": {"data": "AUDIO"}},
                    {"type": "video_url", "video_url": {"url": "VIDEO"}},
                    {"type": "file", "file": {"file_data": "IMAGE"}},
                ],
            },
            {"role": "assistant", "content": "y", "audio": {"data": "AUDIO"}},
            USER,
        ],
        "stream_options": {},
        "audio": {},
        "nextgpt": {"image": {}, "audio": {}, "video": {}},
    },
    "/v1/responses": {
        "model": "nano",
        "input": [
            {
                "role": "user",
                "content": [
                    {"type": "input_text", "text": "x"},
                    {"type": "input_image", "image_url": "IMAGE"},
                    {"type": "input_file", "file_data": "IMAGE"},
                ],
            },
            {"type": "image_generation_call", "result": "IMAGE"},
            {"role": "user", "content": "z"},
        ],
        "tools": [{"type": "image_generation"}],
        "text": {"format": {}},
        "nextgpt": {"image": {}},
    },
    "/v1/completions": {"model": "nano", "prompt": "x"},
    "/v1/embeddings": {"input": [{"type": "image_url", "image_url": {"url": "IMAGE"}}]},
    "/v1/images/generations": {"prompt": "x"},
    "/v1/images/edits": {"prompt": "x", "image": "IMAGE"},
    "/v1/audio/generate": {"prompt": "x"},
    "/v1/videos": {"prompt": "x", "input_reference": "IMAGE"},
    "/v1/videos/sync": {"prompt": "x", "input_reference": "IMAGE"},
}
"""A request by route, with an object at every place that may have one."""
WITHOUT_JSON = {"/v1/files", "/v1/responses/{response_id}/cancel", "/v1/audio/speech", "/v1/sound-generation"}


@pytest.fixture(scope="session")
def document(http: httpx.Client) -> dict[str, Any]:
    """The OpenAPI document of the server."""
    return http.get("/openapi.json").json()


def with_nulls(document: dict[str, Any], schema: dict[str, Any], value: Any) -> Any:
    """Return ``value`` with ``null`` in every optional field that it lacks, as the schema lists them."""
    options = [_resolve(document, option) for option in _alternatives(document, schema)]
    if isinstance(value, list):
        items = next(option["items"] for option in options if option.get("type") == "array")
        return [with_nulls(document, items, item) for item in value]
    if not isinstance(value, dict):
        return value
    fields = next(option["properties"] for option in options if _fits(option, value))
    present = {
        name: with_nulls(document, fields[name], item) if name in fields else item for name, item in value.items()
    }
    return dict.fromkeys(fields) | present


def _resolve(document: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    while "$ref" in schema:
        schema = document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    return schema


def _alternatives(document: dict[str, Any], schema: dict[str, Any]) -> list[dict[str, Any]]:
    schema = _resolve(document, schema)
    nested = schema.get("anyOf") or schema.get("oneOf")
    return [one for option in nested for one in _alternatives(document, option)] if nested else [schema]


def _fits(schema: dict[str, Any], value: dict[str, Any]) -> bool:
    fields = schema.get("properties", {})
    kind = fields.get("type", {})
    allowed = kind.get("enum", [kind["const"]] if "const" in kind else [])
    is_of_kind = not allowed or value.get("type", kind.get("default")) in allowed
    return schema.get("type") == "object" and is_of_kind and set(schema.get("required", ())) <= value.keys()


def _filled(value: Any, data_uri: Callable[[str], str]) -> Any:
    if isinstance(value, dict):
        return {name: _filled(item, data_uri) for name, item in value.items()}
    if isinstance(value, list):
        return [_filled(item, data_uri) for item in value]
    return data_uri(value.lower()) if value in ("IMAGE", "AUDIO", "VIDEO") else value


def test_every_route_that_takes_json_is_tried(document: dict[str, Any]) -> None:
    posts = {path for path, methods in document["paths"].items() if "post" in methods}
    assert posts - WITHOUT_JSON == REQUESTS.keys()


@pytest.mark.parametrize("path", REQUESTS)
def test_null_in_every_optional_field_changes_nothing(
    path: str, document: dict[str, Any], http: httpx.Client, data_uri: Callable[[str], str]
) -> None:
    schema = document["paths"][path]["post"]["requestBody"]["content"]["application/json"]["schema"]
    body = _filled(REQUESTS[path], data_uri)
    nulls = with_nulls(document, schema, body)
    assert nulls != body
    for request in (body, nulls):
        answer = http.post(path, json=request)
        assert answer.status_code == 200, answer.text
