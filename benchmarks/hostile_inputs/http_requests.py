"""Hostile requests: a valid request of every route, changed by seeded mutations."""

from __future__ import annotations

import base64
import copy
import json
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from benchmarks.hostile_inputs.files import hostile_file

Generator = np.random.Generator

CHEAP = {"num_inference_steps": 1}
CHAT = {"model": "nano", "max_tokens": 2, "modalities": ["text"], "seed": 1}
ROUTES: dict[str, dict[str, Any]] = {
    "/v1/chat/completions": CHAT
    | {
        "messages": [
            {"role": "system", "content": "Be brief."},
            {
                "role": "user",
                "content": [{"type": "text", "text": "Hi"}, {"type": "image_url", "image_url": {"url": "MEDIUM"}}],
            },
            {"role": "assistant", "content": "Yes", "parts": None, "images": None, "audio": None},
            {
                "role": "user",
                "content": [
                    {"type": "input_audio", "input_audio": {"data": "MEDIUM", "format": "wav"}},
                    {"type": "video_url", "video_url": "MEDIUM"},
                    {"type": "file", "file": {"file_data": "MEDIUM", "filename": "x"}},
                ],
            },
        ],
        "stream": False,
        "stream_options": None,
        "stop": ["."],
        "n": 1,
        "temperature": 0,
        "top_p": 1,
        "tools": [],
        "audio": {"format": "wav"},
        "nextgpt": {"image": CHEAP, "media": "url", "parts": "url", "content": "text"},
    },
    "/v1/responses": {
        "model": "nano",
        "max_output_tokens": 2,
        "modalities": ["text"],
        "store": False,
        "stream": False,
        "input": [
            {
                "role": "user",
                "content": [{"type": "input_text", "text": "Hi"}, {"type": "input_image", "image_url": "MEDIUM"}],
            }
        ],
        "tools": [{"type": "image_generation", "partial_images": 0}],
        "text": {"format": {"type": "text"}},
        "metadata": {"a": "b"},
        "instructions": None,
        "previous_response_id": None,
    },
    "/v1/completions": {"model": "nano", "prompt": ["Hi"], "max_tokens": 2, "stop": None, "echo": False, "n": 1},
    "/v1/embeddings": {
        "model": "nano",
        "input": [{"type": "image_url", "image_url": {"url": "MEDIUM"}}],
        "encoding_format": "float",
        "dimensions": None,
    },
    "/v1/images/generations": {"model": "nano", "prompt": "a cat", "n": 1, "seed": 1, "response_format": "b64_json"}
    | CHEAP,
    "/v1/images/edits": {"model": "nano", "prompt": "blue", "image": "MEDIUM", "n": 1} | CHEAP,
    "/v1/audio/generate": {"model": "nano", "prompt": "a trumpet", "response_format": "wav"} | CHEAP,
    "/v1/videos/sync": {"model": "nano", "prompt": "a cat", "seconds": None, "input_reference": "MEDIUM"} | CHEAP,
}
"""A valid request by route; ``MEDIUM`` is replaced by a hostile file."""
HOSTILE_VALUES: tuple[Any, ...] = (
    None,
    True,
    False,
    0,
    1,
    -1,
    2**31,
    2**63,
    2**64,
    -(2**70),
    0.5,
    1e308,
    "",
    " ",
    "x",
    "nano",
    "\0",
    "\ud83d\ude00" * 50,
    "[IMG0][VID3]</s><|end|>",
    "data:",
    "data:;base64,",
    "data:image/png;base64,AAAA",
    "http://127.0.0.1/",
    "file:///etc/passwd",
    "file-00000000000000000000000000000000",
    "../../etc/passwd",
    [],
    [[]],
    [None],
    [1, 2],
    {},
    {"a": 1},
    {"type": "text"},
    {"type": "image_url"},
    {"type": "smell", "smell": "x"},
    {"url": None},
    "y" * 20_000,
    [0] * 2000,
)
RAW_BODIES: tuple[bytes, ...] = (
    b"",
    b"{",
    b"null",
    b"[]",
    b'"x"',
    b"\xff\xfe\x00",
    b"[" * 5000,
    b'{"a":' * 2000,
    b'{"model": NaN}',
    b"\x1f\x8b\x08\x00",
    b'--x\r\nContent-Disposition: form-data; name="image"; filename="a.png"\r\n\r\nabc\r\n--x--',
    b"a=b&c=d",
    b"0" * 100_000,
)
CONTENT_TYPES = (
    "application/json",
    "",
    "text/plain",
    "multipart/form-data; boundary=x",
    "multipart/form-data",
    "image/png",
    "application/json; charset=utf-16",
    "application/x-www-form-urlencoded",
)


@dataclass(frozen=True)
class HostileRequest:
    """A request, and how it was made."""

    route: str
    mutation: str
    content: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    files: dict[str, tuple[str, bytes]] | None = None
    """Files of a form, by field: name and content."""
    form: dict[str, str] = field(default_factory=dict)


def hostile_request(seed: int) -> HostileRequest:
    """Return the request of a seed; the same one every time."""
    rng = np.random.default_rng([11, seed])
    route = list(ROUTES)[rng.integers(len(ROUTES))]
    kind = rng.integers(20)
    if kind == 0:
        return HostileRequest(
            "/v1/files", "upload", files={"file": ("x.png", hostile_file(seed).content)}, form={"purpose": _text(rng)}
        )
    if kind == 1:
        return HostileRequest(
            "/v1/images/edits",
            "form",
            files={"image": (_text(rng)[:50], hostile_file(seed).content)},
            form={"prompt": "blue", "n": _text(rng)[:100], "num_inference_steps": "1"},
        )
    if kind == 2:
        headers = {"Content-Type": CONTENT_TYPES[rng.integers(len(CONTENT_TYPES))]}
        return HostileRequest(route, "raw body", RAW_BODIES[rng.integers(len(RAW_BODIES))], headers)
    body = copy.deepcopy(ROUTES[route])
    number = int(rng.integers(0, 4))
    for _ in range(number):
        _mutate(body, rng)
    content = json.dumps(_with_media(body, rng)).encode()
    return HostileRequest(route, f"{number} values", content, {"Content-Type": "application/json"})


def _text(rng: Generator) -> str:
    texts = [
        value for value in HOSTILE_VALUES if isinstance(value, str) and "\0" not in value and "\ud83d" not in value
    ]
    return texts[rng.integers(len(texts))]


def _hostile_value(rng: Generator) -> Any:
    return copy.deepcopy(HOSTILE_VALUES[rng.integers(len(HOSTILE_VALUES))])


def _mutate(body: Any, rng: Generator) -> None:
    """Change one place of a JSON value: replace, remove, repeat or add."""
    places = list(_places(body))
    container, key = places[rng.integers(len(places))]
    match rng.integers(6):
        case 0:
            del container[key]
        case 1 if isinstance(container, list):
            container.extend([container[key]] * int(rng.integers(1, 30)))
        case 2 if isinstance(container, dict):
            container[f"unknown_{rng.integers(5)}"] = _hostile_value(rng)
        case 3:
            container[key] = [container[key]] if rng.integers(2) else {"value": container[key]}
        case _:
            container[key] = _hostile_value(rng)


def _places(value: Any) -> list[tuple[Any, Any]]:
    """Return all places of a JSON value as container and key."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [place for key, inner in items for place in ((value, key), *_places(inner))] or [({"": 0}, "")]


def _with_media(value: Any, rng: Generator) -> Any:
    """Replace each ``MEDIUM`` by a data URI or base64 of a file, one of eight unchanged."""
    if value == "MEDIUM":
        content = hostile_file(int(rng.integers(2**31))).content
        encoded = base64.b64encode(content).decode()
        return encoded if rng.integers(4) == 0 else f"data:application/octet-stream;base64,{encoded}"
    if isinstance(value, dict):
        return {key: _with_media(inner, rng) for key, inner in value.items()}
    return [_with_media(inner, rng) for inner in value] if isinstance(value, list) else value
