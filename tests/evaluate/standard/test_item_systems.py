from __future__ import annotations

import base64
import io
import json
from pathlib import Path

import httpx
import numpy as np
import pytest

from nextgpt.errors import ConfigError, ConversationError
from nextgpt.evaluate.standard.item_systems.base import ChatSystem, answer_each
from nextgpt.evaluate.standard.item_systems.openai_endpoint import OpenAIChat, OpenAIEndpoint
from nextgpt.evaluate.standard.item_systems.pipeline import MAX_ROUNDS, Pipeline
from nextgpt.evaluate.standard.item_systems.truth import ShuffledSystem, TruthSystem
from nextgpt.evaluate.standard.items import EvalItem, medium, user_message
from nextgpt.message import Audio, Conversation, Reply, Sampling, Text
from nextgpt.testing.scripted_model import tiny_audio, tiny_image, tiny_video

URL = "http://127.0.0.1:1/v1"


class Server:
    """An OpenAI-compatible server that answers from a script and keeps the requests."""

    def __init__(self, *messages: dict, status: int = 200) -> None:
        self.messages = list(messages)
        self.requests: list[dict] = []
        self.status = status

    def __call__(self, request: httpx.Request) -> httpx.Response:
        if request.url.path == "/v1/models":
            return httpx.Response(200, json={"data": [{"id": "first"}, {"id": "second"}]})
        if request.url.path.startswith("/v1/files/"):
            return httpx.Response(200, content=png())
        if self.status != 200:
            return httpx.Response(self.status, text="no\nsuch thing")
        self.requests.append(json.loads(request.content))
        message = self.messages.pop(0) if len(self.messages) > 1 else self.messages[0]
        return httpx.Response(200, json={"choices": [{"message": message}]})

    def endpoint(self, url: str = URL) -> OpenAIEndpoint:
        return OpenAIEndpoint(url, httpx.MockTransport(self))


def png() -> bytes:
    content = io.BytesIO()
    tiny_image((0, 0, 255)).image.save(content, "PNG")
    return content.getvalue()


def data_uri(content: bytes) -> str:
    return f"data:image/png;base64,{base64.b64encode(content).decode()}"


def ask(server: Server, *parts: object) -> Reply:
    conversation = Conversation().with_message(list(parts))
    return OpenAIChat(server.endpoint()).chat_batch([conversation], [Sampling(seed=7)])[0]


def test_media_are_sent_as_data_and_the_first_model_answers() -> None:
    server = Server({"content": "Yes."})
    reply = ask(server, "What is this?", tiny_image(), tiny_audio(), tiny_video())
    assert (reply.text, reply.seed) == ("Yes.", 7)
    (request,) = server.requests
    assert (request["model"], request["seed"]) == ("first", 7)
    kinds = [part["type"] for part in request["messages"][0]["content"]]
    assert kinds == ["text", "image_url", "input_audio", "video_url"]
    sent = request["messages"][0]["content"][1]["image_url"]["url"]
    assert sent.startswith("data:image/png;base64,")


def test_media_of_the_answer_are_read_from_data_and_from_the_server() -> None:
    images = [
        {"type": "image_url", "image_url": {"url": data_uri(png())}},
        {"image_url": {"url": "/v1/files/x/content"}},
    ]
    reply = ask(Server({"content": "Here.", "images": images}), "Draw.")
    assert [part.modality for part in reply.parts] == ["text", "image", "image"]
    assert all(np.asarray(image.image)[0, 0].tolist() == [0, 0, 255] for image in reply.images)


def test_parts_keep_the_order_of_text_and_media() -> None:
    image = {"type": "image_url", "image_url": {"url": data_uri(png())}}
    parts = [{"type": "text", "text": "A"}, image, {"type": "text", "text": "B"}]
    reply = ask(Server({"content": "AB", "parts": parts, "images": [image]}), "Draw.")
    assert [part.modality for part in reply.parts] == ["text", "image", "text"]


def test_audio_in_openais_field_is_read(tmp_path: Path) -> None:
    content = tiny_audio().save(tmp_path / "a.wav").read_bytes()
    reply = ask(Server({"content": None, "audio": {"data": base64.b64encode(content).decode()}}), "Play.")
    assert isinstance(reply.parts[0], Audio)


def test_a_model_can_be_named_behind_the_address() -> None:
    server = Server({"content": "Yes."})
    OpenAIChat(server.endpoint(f"{URL}#second")).chat_batch([Conversation().with_message("Hi")], [Sampling()])
    assert server.requests[0]["model"] == "second"


def test_a_refused_request_is_one_items_error_and_a_broken_server_ends_the_run() -> None:
    with pytest.raises(ConversationError, match=r"refused the request \(400\)"):
        ask(Server({}, status=400), "Hi")
    with pytest.raises(ConfigError, match=r"answered 500: no such thing"):
        ask(Server({}, status=500), "Hi")
    with pytest.raises(ConfigError, match=r"expected http://HOST:PORT/v1"):
        OpenAIEndpoint("localhost:8000")

    def refuse(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused")

    endpoint = OpenAIEndpoint(URL, httpx.MockTransport(refuse))
    with pytest.raises(ConfigError, match=r"cannot be reached \(ConnectError\).*finished answers are kept"):
        OpenAIChat(endpoint).chat_batch([Conversation().with_message("Hi")], [Sampling()])


class Tools:
    """The tools of a pipeline, which keep their calls."""

    def __init__(self) -> None:
        self.captions: list[str] = []

    def describe(self, media) -> list[str]:
        return ["a red square" for _ in media]

    def to_replies(self, answers, seeds) -> list[Reply]:
        self.captions += [pieces[2] for pieces in answers]
        return [Reply((tiny_image() if pieces[1] == "image" else tiny_audio(),)) for pieces in answers]


def call(name: str, **arguments: str) -> dict:
    function = {"name": name, "arguments": json.dumps(arguments)}
    return {"content": "", "tool_calls": [{"id": "1", "type": "function", "function": function}]}


def plan(*messages: dict) -> tuple[Reply, Server, Tools]:
    server, tools = Server(*messages), Tools()
    pipeline = Pipeline(server.endpoint(), tools, tools)
    conversation = Conversation().with_message([tiny_image(), "Make it blue, with a bark."])
    return pipeline.chat_batch([conversation], [Sampling(seed=3)])[0], server, tools


def test_a_pipeline_captions_draws_and_plays_as_the_llm_plans() -> None:
    last = {"content": "Here it is."}
    calls = (
        call("caption", medium="image-1"),
        call("draw", description="a blue square"),
        call("play", description="a bark"),
    )
    reply, server, tools = plan(*calls, last)
    assert [part.modality for part in reply.parts] == ["text", "image", "audio"]
    assert (reply.text, tools.captions) == ("Here it is.", ["a blue square", "a bark"])
    assert server.requests[0]["messages"][1]["content"] == "[image-1] Make it blue, with a bark."
    results = [message["content"] for message in server.requests[-1]["messages"] if message["role"] == "tool"]
    assert results == ["a red square", "image-2 is shown to the user.", "audio-1 is shown to the user."]


def test_wrong_calls_are_answered_to_the_llm() -> None:
    broken = call("draw", description="x")
    broken["tool_calls"][0]["function"]["arguments"] = "no JSON"
    reply, server, _ = plan(broken, call("caption", medium="image-9"), call("sing", song="x"), {"content": "Sorry."})
    results = [message["content"] for message in server.requests[-1]["messages"] if message["role"] == "tool"]
    assert [result.partition(":")[0] for result in results] == ["Error"] * 3
    assert [part.modality for part in reply.parts] == ["text"]


def test_a_plan_without_end_is_cut() -> None:
    reply, server, _ = plan(call("draw", description="a square"))
    assert len(server.requests) == MAX_ROUNDS and len(reply.images) == MAX_ROUNDS


def test_truth_and_shuffled_answers(tmp_path: Path) -> None:
    for name in ("a", "b"):
        tiny_image().save(tmp_path / f"{name}.png")
    request = user_message("Draw.")
    with_media = [
        EvalItem(id=name, suite="s", request=request, reference_media=(medium("image", f"{name}.png"),))
        for name in ("a", "b")
    ]
    assert [part.modality for part in TruthSystem(tmp_path).answer(with_media, [0, 0])[0].parts] == ["image"]
    texts = [EvalItem(id=name, suite="s", request=request, references=(name, "x")) for name in ("a", "b")]
    assert [reply.text for reply in TruthSystem(tmp_path).answer(texts, [0, 0])] == ["a", "b"]
    assert [reply.text for reply in ShuffledSystem(tmp_path, texts).answer(texts, [0, 0])] == ["b", "a"]
    choice = EvalItem(id="c", suite="s", request=request, expected_modalities=("audio", "video"))
    assert [part.modality for part in TruthSystem(tmp_path).answer([choice], [0])[0].parts] == ["audio", "video"]
    edit = EvalItem(id="d", suite="s", request=request, source_medium=medium("image", "a.png"))
    assert answer_each(TruthSystem(tmp_path), [edit], [0]) == ["no true medium in the data"]


def test_a_medium_that_cannot_be_read_spoils_no_other_item(tmp_path: Path) -> None:
    class Model:
        def chat_batch(self, conversations, sampling) -> list[Reply]:
            return [Reply((Text("fine"),)) for _ in conversations]

    tiny_image().save(tmp_path / "whole.png")
    (tmp_path / "torn.png").write_bytes(b"\x89PNG\r\n\x1a\n torn")
    items = [
        EvalItem(id=name, suite="s", request=user_message(medium("image", f"{name}.png"), "What?"))
        for name in ("whole", "torn")
    ]
    first, second = answer_each(ChatSystem(Model(), tmp_path), items, [0, 1])
    assert isinstance(first, Reply) and first.text == "fine"
    assert isinstance(second, str) and "torn.png" in second and "\n" not in second
