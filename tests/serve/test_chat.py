"""Conversations through OpenAI's own client."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
from collections.abc import Callable

import httpx
import openai
import pytest

from nextgpt.message import Audio, Image, Video
from nextgpt.serve.settings import ServerSettings
from nextgpt.testing.scripted_model import ScriptedModel
from nextgpt.testing.serial_engine import SerialEngine

Uri = Callable[[str], str]


def said(client: openai.OpenAI, content: object, **options: object) -> openai.types.chat.ChatCompletionMessage:
    return (
        client.chat.completions.create(model="nano", messages=[{"role": "user", "content": content}], **options)
        .choices[0]
        .message
    )


def test_an_answer_holds_words_and_media_in_speaking_order(client: openai.OpenAI):
    message = said(client, "show me")
    assert message.content == "Look: here\nNice?"
    assert [part["type"] for part in message.parts] == ["text", "image_url", "audio_url", "text"]
    assert (len(message.images), len(message.audios), message.videos) == (1, 1, [])
    picture = Image.open(base64.b64decode(message.images[0]["image_url"]["url"].partition(",")[2]))
    assert picture.image.getpixel((0, 0)) == (255, 0, 0)
    assert Audio.open(base64.b64decode(message.audio.data)).sample_rate_hz == 16_000
    assert message.audio.id == message.audios[0]["id"]


@pytest.mark.parametrize(
    ("part", "modality"),
    [
        (lambda uri: {"type": "image_url", "image_url": {"url": uri("image")}}, Image),
        (lambda uri: {"type": "image_url", "image_url": uri("image")}, Image),
        (
            lambda uri: {
                "type": "input_audio",
                "input_audio": {"data": uri("audio").partition(",")[2], "format": "wav"},
            },
            Audio,
        ),
        (lambda uri: {"type": "audio_url", "audio_url": {"url": uri("audio")}}, Audio),
        (lambda uri: {"type": "video_url", "video_url": {"url": uri("video")}}, Video),
        (lambda uri: {"type": "file", "file": {"file_data": uri("video"), "filename": "x.mp4"}}, Video),
    ],
)
def test_every_input_part_reaches_the_model(
    client: openai.OpenAI, model: ScriptedModel, data_uri: Uri, part: Callable, modality: type
):
    said(client, [{"type": "text", "text": "Hm?"}, part(data_uri)])
    words, medium = model.received[-1].messages[0].parts
    assert words.text == "Hm?" and isinstance(medium, modality)


def test_an_answer_can_be_sent_back_as_history(client: openai.OpenAI, model: ScriptedModel):
    first = client.chat.completions.create(model="nano", messages=[{"role": "user", "content": "show me"}])
    answered = first.choices[0].message.model_dump(exclude_none=True)
    turns = [{"role": "user", "content": "show me"}, answered, {"role": "user", "content": "again"}]
    client.chat.completions.create(model="nano", messages=turns)
    assert [part.modality for part in model.received[-1].messages[1].parts] == ["text", "image", "audio", "text"]


def test_history_may_name_a_sound_by_its_id(client: openai.OpenAI, model: ScriptedModel):
    first = said(client, "show me")
    turns = [
        {"role": "assistant", "content": "Look", "audio": {"id": first.audio.id}},
        {"role": "user", "content": "again"},
    ]
    client.chat.completions.create(model="nano", messages=turns)
    assert [part.modality for part in model.received[-1].messages[0].parts] == ["text", "audio"]


def test_media_come_as_addresses_when_asked(client: openai.OpenAI, http: httpx.Client):
    message = said(client, "show me", extra_body={"nextgpt": {"media": "url"}})
    got = http.get(message.images[0]["image_url"]["url"])
    assert got.headers["content-type"] == "image/png" and got.content.startswith(b"\x89PNG")
    assert got.headers["content-disposition"].startswith("attachment")


def test_parts_refer_to_media_instead_of_repeating_them(client: openai.OpenAI, address: str):
    message = said(client, "show me")
    _, image, audio, _ = message.parts
    assert image["image_url"]["url"] == f"{address}/v1/files/{message.images[0]['id']}/content"
    assert (image["id"], audio["id"]) == (message.images[0]["id"], message.audios[0]["id"])
    inline = said(client, "show me", extra_body={"nextgpt": {"parts": "b64"}})
    assert inline.parts[1]["image_url"]["url"].startswith("data:image/png")


def test_history_is_understood_after_its_files_have_expired(client: openai.OpenAI, model: ScriptedModel):
    message = said(client, "show me")
    for file in (message.images[0]["id"], message.audios[0]["id"]):
        client.files.delete(file)
    turns = [message.model_dump(exclude_none=True), {"role": "user", "content": "again"}]
    client.chat.completions.create(model="nano", messages=turns)
    assert [part.modality for part in model.received[-1].messages[0].parts] == ["text", "image", "audio", "text"]


def test_content_may_be_all_parts(client: openai.OpenAI, model: ScriptedModel):
    message = said(client, "show me", extra_body={"nextgpt": {"content": "parts"}})
    assert [part["type"] for part in message.content] == ["text", "image_url", "audio_url", "text"]
    assert message.content[1]["image_url"]["url"].startswith("data:image/png")
    assert message.audio is None and not (message.parts or message.images or message.audios)
    turns = [{"role": "assistant", "content": message.content}, {"role": "user", "content": "again"}]
    client.chat.completions.create(model="nano", messages=turns)
    assert len(model.received[-1].messages[0].parts) == 4


def test_media_addresses_begin_with_the_public_address(serving, studio):
    body = {"model": "nano", "messages": [{"role": "user", "content": "show me"}], "nextgpt": {"media": "url"}}
    public = "https://models.example.org/nano"
    with serving(SerialEngine(studio), ServerSettings(public_url=public)) as at:
        answer = httpx.post(f"{at}/v1/chat/completions", json=body, timeout=60, trust_env=False).json()
        message = answer["choices"][0]["message"]
        url = message["images"][0]["image_url"]["url"]
        assert url == f"{public}/v1/files/{message['images'][0]['id']}/content"
        body["messages"] = [message, {"role": "user", "content": "again"}]
        httpx.post(f"{at}/v1/chat/completions", json=body, timeout=60, trust_env=False).raise_for_status()


def test_sounds_come_in_the_format_that_was_asked_for(client: openai.OpenAI):
    message = said(client, "show me", extra_body={"audio": {"format": "flac"}})
    assert base64.b64decode(message.audio.data).startswith(b"fLaC")


def test_several_choices_have_seeds_of_their_own(client: openai.OpenAI):
    answer = client.chat.completions.create(model="nano", messages=[{"role": "user", "content": "x"}], n=3, seed=7)
    assert [choice.index for choice in answer.choices] == [0, 1, 2]
    assert answer.nextgpt["seed"] == 7


def test_a_stream_tells_words_progress_and_media_in_order(client: openai.OpenAI):
    stream = client.chat.completions.create(
        model="nano",
        messages=[{"role": "user", "content": "show me"}],
        stream=True,
        stream_options={"include_usage": True},
    )
    told = []
    for chunk in stream:
        if not chunk.choices:
            assert chunk.usage is not None
            continue
        delta = chunk.choices[0].delta.model_dump(exclude_none=True)
        about = getattr(chunk, "nextgpt", None) or {}
        kinds = [name for name in ("images", "audios", "videos") if delta.get(name)]
        if delta.get("content"):
            told.append(delta["content"])
        elif about.get("event") == "progress":
            told.append(f"{about['modality']} {about['step']}/{about['total']}")
        elif kinds:
            told += kinds
        elif chunk.choices[0].finish_reason:
            told.append(chunk.choices[0].finish_reason)
    assert told == ["Look:", " here", "image 1/2", "image 2/2", "images", "audio 1/1", "audios", "\nNice?", "stop"]


def test_a_stream_ends_with_done(http: httpx.Client):
    asked = {"model": "nano", "messages": [{"role": "user", "content": "x"}], "stream": True}
    with http.stream("POST", "/v1/chat/completions", json=asked) as answer:
        lines = [line for line in answer.iter_lines() if line]
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert lines[-1] == "data: [DONE]"
    assert json.loads(lines[0].removeprefix("data: "))["object"] == "chat.completion.chunk"


def test_a_failure_in_a_stream_is_an_event(http: httpx.Client):
    asked = {"model": "nano", "messages": [{"role": "user", "content": "refuse"}], "stream": True}
    lines = [line for line in http.post("/v1/chat/completions", json=asked).text.splitlines() if line]
    assert "Got 'refuse'" in json.loads(lines[-2].removeprefix("data: "))["error"]["message"]
    assert lines[-1] == "data: [DONE]"


@pytest.mark.parametrize(
    ("change", "kind", "says"),
    [
        ({"model": "gpt-9"}, openai.NotFoundError, "model 'gpt-9' is unknown"),
        ({"modalities": ["smell"]}, openai.BadRequestError, "expected some of text, image, audio, video"),
        ({"n": 99}, openai.BadRequestError, "at most 8"),
        ({"temperature": -1}, openai.BadRequestError, "temperature"),
        ({"messages": []}, openai.BadRequestError, "messages"),
        ({"extra_body": {"nextgpt": {"colour": 1}}}, openai.BadRequestError, "colour"),
        ({"extra_body": {"nextgpt": {"image": {"num_inference_steps": 101}}}}, openai.BadRequestError, "at most 100"),
        ({"messages": [{"role": "user", "content": "refuse"}]}, openai.BadRequestError, "Got 'refuse'"),
    ],
)
def test_mistakes_are_told_as_the_clients_own_errors(
    client: openai.OpenAI, change: dict, kind: type[openai.APIStatusError], says: str
):
    asked = {"model": "nano", "messages": [{"role": "user", "content": "x"}]} | change
    with pytest.raises(kind) as error:
        client.chat.completions.create(**asked)
    assert says in error.value.message
    assert set(error.value.body) == {"message", "type", "param", "code"}


def test_the_model_is_listed_with_its_modalities(client: openai.OpenAI):
    (listed,) = client.models.list().data
    assert listed.id == "nano" and client.models.retrieve("nano").id == "nano"
    assert listed.input_modalities == ["text", "image", "audio", "video"]
    assert listed.output_modalities == ["text", "image", "audio", "video"]


def test_health_and_readiness_answer(http: httpx.Client):
    assert http.get("/health").json() == {"status": "ok"}
    assert http.get("/ready").json()["status"] == "ready"
    assert "/v1/chat/completions" in http.get("/openapi.json").json()["paths"]


@pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl")
def test_curl_gets_answers_and_streams(address: str):
    asked = {"model": "nano", "messages": [{"role": "user", "content": "show me"}]}

    def curl(body: dict[str, object]) -> str:
        command = ["curl", "-sN", "--noproxy", "*", f"{address}/v1/chat/completions"]
        command += ["-H", "Content-Type: application/json", "-d", json.dumps(body)]
        return subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout

    assert json.loads(curl(asked))["choices"][0]["message"]["content"] == "Look: here\nNice?"
    assert curl(asked | {"stream": True}).endswith("data: [DONE]\n\n")


def test_an_unknown_route_names_the_right_one(http: httpx.Client):
    answer = http.post("/v1/nothing", json={"model": "nano"})
    assert answer.status_code == 404 and "/v1/chat/completions" in answer.json()["error"]["message"]


def test_null_means_the_same_as_an_absent_field(http: httpx.Client):
    fields = http.get("/openapi.json").json()["components"]["schemas"]["ChatRequest"]["properties"]
    optional = dict.fromkeys(set(fields) - {"model", "messages"})
    body = {"model": "nano", "messages": [{"role": "user", "content": "x", "name": None, "parts": None}]}
    assert http.post("/v1/chat/completions", json=body | optional).status_code == 200
    assert http.post("/v1/images/generations", json={"prompt": "x", "n": None, "seed": None}).status_code == 200


def test_values_that_other_servers_accept_are_accepted(http: httpx.Client, model: ScriptedModel):
    body = {"model": "nano", "messages": [{"role": "user", "content": "x"}]}
    lenient = {"seed": -1, "max_tokens": -1, "top_p": 0, "temperature": 1}
    assert http.post("/v1/chat/completions", json=body | lenient).status_code == 200
    sampling = model.samplings[-1]
    assert sampling.seed >= 0 and sampling.max_tokens == 2048
    assert (sampling.temperature, sampling.top_p) == (0.0, 1.0), "top_p 0 takes the most likely token"


def test_answers_and_last_chunks_have_the_fields_that_typed_clients_require(http: httpx.Client):
    body = {"model": "nano", "messages": [{"role": "user", "content": "x"}]}
    answer = http.post("/v1/chat/completions", json=body).json()
    stream = body | {"stream": True, "stream_options": {"include_usage": True}}
    lines = http.post("/v1/chat/completions", json=stream).text.splitlines()
    chunks = [json.loads(line.removeprefix("data: ")) for line in lines if line.startswith("data: {")]
    for payload in (answer, chunks[-1]):
        assert payload["system_fingerprint"] is None
        assert payload["usage"]["completion_tokens_details"]["reasoning_tokens"] == 0
    assert all(chunk["system_fingerprint"] is None for chunk in chunks)


def test_a_silent_stream_sends_comments(serving, studio):
    body = {"model": "nano", "messages": [{"role": "user", "content": "pause"}], "stream": True}
    with serving(SerialEngine(studio), ServerSettings(keepalive_s=0.05)) as at:
        text = httpx.post(f"{at}/v1/chat/completions", json=body, timeout=60, trust_env=False).text
    assert ": keepalive" in text and text.endswith("data: [DONE]\n\n")
