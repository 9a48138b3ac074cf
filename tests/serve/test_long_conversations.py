"""Conversations beyond the context are answered, and the answer says how many turns left."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any

import httpx
import pytest

from nextgpt.serve.engine.local import LocalEngine
from nextgpt.testing.model import fake_model


@pytest.fixture(scope="module")
def server(serving: Callable[..., AbstractContextManager[str]]) -> Iterator[str]:
    """A server around a model whose context has 512 positions."""
    with serving(LocalEngine(fake_model())) as address:
        yield address


def request(num_turns: int, data_uri: Callable[[str], str], **options: Any) -> dict[str, Any]:
    image = {"type": "image_url", "image_url": data_uri("image")}
    messages: list[dict[str, Any]] = [{"role": "user", "content": [image]}, {"role": "assistant", "content": "Nice."}]
    for turn in range(num_turns - 2):
        messages += [
            {"role": "user", "content": f"question {turn}"},
            {"role": "assistant", "content": f"answer {turn}"},
        ]
    messages.append({"role": "user", "content": "last question"})
    return {"model": "nano", "messages": messages, "modalities": ["text"], "max_tokens": 8, **options}


@pytest.mark.parametrize(("num_turns", "truncated"), [(3, False), (60, True)])
def test_an_answer_says_how_many_turns_left(
    server: str, data_uri: Callable[[str], str], num_turns: int, truncated: bool
) -> None:
    body = request(num_turns, data_uri)
    answer = httpx.post(f"{server}/v1/chat/completions", json=body, timeout=120, trust_env=False)
    turns = answer.raise_for_status().json()["nextgpt"]["truncated_turns"]
    assert (0 < turns < num_turns) == truncated, turns
    assert answer.json()["usage"]["prompt_tokens"] < 512


def test_a_stream_and_a_response_say_it_too(server: str, data_uri: Callable[[str], str]) -> None:
    body = request(60, data_uri, stream=True)
    lines = httpx.post(f"{server}/v1/chat/completions", json=body, timeout=120, trust_env=False).text
    chunks = [json.loads(line[6:]) for line in lines.splitlines() if line.startswith("data: {")]
    (turns,) = [info["truncated_turns"] for chunk in chunks if "seed" in (info := chunk.get("nextgpt", {}))]
    assert turns > 0
    words = [{"role": "user", "content": f"question {turn}"} for turn in range(60)]
    response = {"model": "nano", "input": words, "modalities": ["text"], "max_output_tokens": 8}
    answer = httpx.post(f"{server}/v1/responses", json=response, timeout=120, trust_env=False).json()
    assert answer["nextgpt"]["truncated_turns"] > 0
