"""Conversations with more media than a request may have: the oldest leave, and the answer says so."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import httpx

from nextgpt.message import Conversation, Sampling
from nextgpt.model.llm.output import LLMOutput
from nextgpt.serve.engine.base import EngineRequest, RequestHandle
from nextgpt.serve.engine.request_state import RequestState
from nextgpt.serve.settings import ServerSettings
from nextgpt.testing.scripted_model import ScriptedModel

LIMIT = ServerSettings().max_media
Uri = Callable[[str], str]


def image_part(data_uri: Uri) -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": data_uri("image")}}


def post(http: httpx.Client, messages: list[dict[str, Any]]) -> httpx.Response:
    return http.post("/v1/chat/completions", json={"model": "nano", "messages": messages})


def test_the_oldest_media_of_a_long_conversation_leave(http: httpx.Client, model: ScriptedModel, data_uri: Uri):
    video = {"type": "video_url", "video_url": {"url": data_uri("video")}}
    messages: list[dict[str, Any]] = [{"role": "user", "content": [{"type": "text", "text": "film"}, video]}]
    for number in range(LIMIT + 4):
        messages.append({"role": "assistant", "content": f"picture {number}", "images": [image_part(data_uri)]})
        messages.append({"role": "user", "content": f"again {number}"})
    answer = post(http, messages)
    assert answer.status_code == 200, answer.text
    received = model.received[-1]
    assert len(received.media) == LIMIT
    assert len(received) == len(messages)  # words stay
    assert received.messages[0].media, "the only video may still be meant"
    assert not received.messages[1].media and received.messages[-2].media


def test_the_reply_says_what_was_left_out():
    async def run() -> tuple[str, ...]:
        request = EngineRequest(Conversation().with_message("x"), Sampling(), warnings=("the oldest 2 media",))
        state = RequestState(0, RequestHandle(request))
        state.on_llm_event(LLMOutput((), ()))
        state.finish()
        return (await state.handle.result()).reply.warnings

    assert asyncio.run(run()) == ("the oldest 2 media",)


def test_media_beyond_the_limit_are_not_even_read(http: httpx.Client, data_uri: Uri):
    broken = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
    messages = [{"role": "user", "content": [broken]}]
    messages += [{"role": "user", "content": [image_part(data_uri)]} for _ in range(LIMIT)]
    assert post(http, messages).status_code == 200


def test_too_many_media_in_the_new_message_are_an_error(http: httpx.Client, data_uri: Uri):
    answer = post(http, [{"role": "user", "content": [image_part(data_uri)] * (LIMIT + 1)}])
    assert answer.status_code == 400
    assert f"more than {LIMIT} media" in answer.json()["error"]["message"]
