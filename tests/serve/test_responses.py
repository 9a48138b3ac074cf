"""The Responses API through OpenAI's own client and its helpers."""

from __future__ import annotations

import base64
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import openai
import pytest
from openai.types.responses import ResponseImageGenCallPartialImageEvent, ResponseTextDeltaEvent
from openai.types.responses.response_output_item import ImageGenerationCall

from nextgpt.message import Audio, Image
from nextgpt.serve.settings import ServerSettings
from nextgpt.testing.scripted_model import ScriptedModel
from nextgpt.testing.serial_engine import SerialEngine

Uri = Callable[[str], str]
PREVIEWS = [{"type": "image_generation", "partial_images": 2}]


@pytest.fixture(scope="module")
def brief(serving: Any, studio: Any) -> Iterator[openai.OpenAI]:
    """A client of a server that keeps two responses per owner."""
    settings = ServerSettings(max_responses_per_owner=2)
    with serving(SerialEngine(studio), settings) as address:
        yield openai.OpenAI(base_url=f"{address}/v1", api_key="any", max_retries=0, timeout=120)


def roles(model: ScriptedModel) -> list[tuple[str, list[str]]]:
    """The messages that the model received last: role and modalities."""
    return [(message.role, [part.modality for part in message.parts]) for message in model.received[-1].messages]


def test_the_output_has_items_in_order(client: openai.OpenAI):
    response = client.responses.create(model="nano", input="show me", metadata={"a": "b"}, extra_body={"seed": 5})
    assert [item.type for item in response.output] == [
        "message",
        "image_generation_call",
        "audio_generation_call",
        "message",
    ]
    assert response.status == "completed" and response.output_text == "Look: hereNice?"
    image, audio = response.output[1:3]
    assert isinstance(image, ImageGenerationCall)
    assert Image.open(base64.b64decode(image.result or "")).image.getpixel((0, 0)) == (255, 0, 0)
    assert Audio.open(base64.b64decode(audio.result)).sample_rate_hz == 16_000
    assert response.usage is not None and response.usage.output_tokens_details.reasoning_tokens == 0
    assert response.metadata == {"a": "b"} and response.nextgpt["seed"] == 5


def test_every_input_part_reaches_the_model(client: openai.OpenAI, model: ScriptedModel, data_uri: Uri):
    audio = {"data": data_uri("audio").partition(",")[2], "format": "wav"}
    content = [
        {"type": "input_text", "text": "Hm?"},
        {"type": "input_image", "image_url": data_uri("image"), "detail": "auto"},
        {"type": "input_audio", "input_audio": audio},
        {"type": "input_file", "file_data": data_uri("video"), "filename": "x.mp4"},
    ]
    client.responses.create(model="nano", instructions="Be brief.", input=[{"role": "user", "content": content}])
    assert roles(model) == [("system", ["text"]), ("user", ["text", "image", "audio", "video"])]


def test_a_stream_has_the_events_that_the_clients_helper_types(client: openai.OpenAI):
    with client.responses.stream(
        model="nano", input="Paint.", tools=PREVIEWS, extra_body={"modalities": ["text", "image"]}
    ) as stream:
        events = list(stream)
        final = stream.get_final_response()
    assert [event.type.removeprefix("response.") for event in events] == [
        "created",
        "in_progress",
        "output_item.added",
        "content_part.added",
        "output_text.delta",
        "output_text.done",
        "content_part.done",
        "output_item.done",
        "output_item.added",
        "image_generation_call.in_progress",
        "image_generation_call.generating",
        "image_generation_call.partial_image",
        "image_generation_call.partial_image",
        "image_generation_call.completed",
        "output_item.done",
        "completed",
    ]
    assert [event.sequence_number for event in events] == list(range(len(events)))
    partial = [event for event in events if isinstance(event, ResponseImageGenCallPartialImageEvent)]
    assert [event.partial_image_index for event in partial] == [0, 1]
    assert Image.open(base64.b64decode(partial[0].partial_image_b64)).image.size == (8, 8)
    assert final.output_text == "Yes."
    image = final.output[1]
    assert isinstance(image, ImageGenerationCall) and image.status == "completed"
    assert image.id == partial[0].item_id
    file_id = f"file-{image.id.removeprefix('ig_')}"
    assert base64.b64encode(client.files.content(file_id).content).decode() == image.result


@pytest.mark.filterwarnings("ignore:Pydantic serializer warnings")  # of the client, which has no type for audio
def test_the_helper_accumulates_answers_with_audio(client: openai.OpenAI):
    with client.responses.stream(model="nano", input="show me") as stream:
        snapshots = [event.snapshot for event in stream if event.type == "response.output_text.delta"]
        final = stream.get_final_response()
    assert snapshots == ["Look:", "Look: here", "Nice?"]
    assert [item.type for item in final.output][2] == "audio_generation_call"


def test_a_plain_stream_is_typed(client: openai.OpenAI):
    events = list(client.responses.create(model="nano", input="show me", stream=True))
    text = "".join(event.delta for event in events if isinstance(event, ResponseTextDeltaEvent))
    assert text == "Look: hereNice?" and events[-1].type == "response.completed"


def test_a_conversation_continues_by_the_id_of_the_previous_response(client: openai.OpenAI, model: ScriptedModel):
    first = client.responses.create(model="nano", input="show me", instructions="Be brief.")
    client.responses.create(model="nano", input="again", previous_response_id=first.id)
    assert roles(model) == [("user", ["text"]), ("assistant", ["text", "image", "audio", "text"]), ("user", ["text"])]


def test_a_conversation_continues_without_the_servers_memory(client: openai.OpenAI, model: ScriptedModel):
    first = client.responses.create(model="nano", input="show me", store=False)
    output = [item.to_dict() for item in first.output]
    client.responses.create(
        model="nano", input=[{"role": "user", "content": "x"}, *output, {"role": "user", "content": "y"}]
    )
    assert roles(model)[1] == ("assistant", ["text", "image", "audio", "text"])
    with pytest.raises(openai.NotFoundError, match="No such response"):
        client.responses.retrieve(first.id)


def test_items_can_be_referred_to_by_id(client: openai.OpenAI, model: ScriptedModel):
    first = client.responses.create(model="nano", input="show me")
    references = [{"type": "item_reference", "id": item.id} for item in first.output[:2]]
    image = {"type": "image_generation_call", "id": first.output[1].id, "status": "completed", "result": None}
    client.responses.create(model="nano", input=[*references, image, {"role": "user", "content": "y"}])
    assert roles(model)[0] == ("assistant", ["text", "image", "image"])


def test_the_oldest_responses_leave_beyond_the_quota(brief: openai.OpenAI):
    first, second, third = (brief.responses.create(model="nano", input="x") for _ in range(3))
    assert brief.responses.retrieve(third.id).id == third.id
    brief.responses.create(model="nano", input="x", previous_response_id=second.id, store=False)
    with pytest.raises(openai.BadRequestError, match="previous_response_id") as error:
        brief.responses.create(model="nano", input="x", previous_response_id=first.id)
    assert error.value.code == "previous_response_not_found"


def test_responses_expire(serving: Any, studio: Any):
    with serving(SerialEngine(studio), ServerSettings(file_ttl_s=0.2)) as address:
        client = openai.OpenAI(base_url=f"{address}/v1", api_key="any", max_retries=0, timeout=60)
        made = client.responses.create(model="nano", input="x")
        time.sleep(0.3)
        with pytest.raises(openai.NotFoundError):
            client.responses.retrieve(made.id)


def test_a_response_can_be_deleted(client: openai.OpenAI):
    made = client.responses.create(model="nano", input="x")
    client.responses.delete(made.id)
    with pytest.raises(openai.NotFoundError):
        client.responses.retrieve(made.id)


def test_a_response_in_the_background_is_polled(client: openai.OpenAI):
    made = client.responses.create(model="nano", input="pause", background=True)
    assert made.status == "queued"
    deadline = time.monotonic() + 60
    while made.status in ("queued", "in_progress") and time.monotonic() < deadline:
        time.sleep(0.02)
        made = client.responses.retrieve(made.id)
    assert made.status == "completed" and made.output_text


def test_a_response_in_the_background_is_cancelled(brief: openai.OpenAI, studio: Any):
    studio.closed.clear()
    made = brief.responses.create(model="nano", input="slow", background=True)
    assert brief.responses.cancel(made.id).status == "cancelled"
    assert brief.responses.retrieve(made.id).status == "cancelled"
    assert brief.responses.create(model="nano", input="x").status == "completed", "the engine is free again"


def test_a_stream_is_cancelled_by_another_request(brief: openai.OpenAI, studio: Any):
    studio.closed.clear()
    stream = brief.responses.create(model="nano", input="slow", stream=True)
    started = next(stream)
    assert started.type == "response.created"
    canceller = threading.Timer(0.1, brief.responses.cancel, args=[started.response.id])
    canceller.start()
    last = list(stream)[-1]
    canceller.join()
    assert last.type == "response.incomplete" and last.response.status == "cancelled"
    assert studio.closed.wait(30)


def test_an_error_ends_a_stream_as_a_typed_event(client: openai.OpenAI):
    *_, last = client.responses.create(model="nano", input="refuse", stream=True)
    assert last.type == "response.failed" and last.response.error is not None
    assert last.response.error.code == "invalid_prompt" and "refuse" in last.response.error.message


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"input": "refuse"}, "Got 'refuse'"),
        ({"input": [5]}, "input"),
        ({"input": []}, "at least one message"),
        ({"input": [{"role": "user", "content": [{"type": "input_image"}]}]}, "image_url or file_id"),
        ({"input": [{"type": "function_call_output", "call_id": "a", "output": "b"}]}, "input"),
        ({"tools": [{"type": "function", "name": "f", "parameters": {}, "strict": True}]}, "image_generation"),
        ({"text": {"format": {"type": "xml"}}}, "text.format"),
        ({"text": {"format": {"type": "json_schema", "name": "x"}}}, "text.format.schema is missing"),
        ({"extra_body": {"modalities": ["smell"]}}, "expected some of"),
        ({"background": True, "store": False}, "store"),
    ],
)
def test_invalid_requests_are_the_clients_own_errors(client: openai.OpenAI, change: dict, message: str):
    with pytest.raises(openai.BadRequestError) as error:
        client.responses.create(**{"model": "nano", "input": "x"} | change)
    assert message in error.value.message


def test_responses_are_visible_to_their_owner_alone(serving: Any, studio: Any):
    with serving(SerialEngine(studio), ServerSettings(api_keys=("one", "two"))) as address:
        one, two = (
            openai.OpenAI(base_url=f"{address}/v1", api_key=key, max_retries=0, timeout=60) for key in ("one", "two")
        )
        made = one.responses.create(model="nano", input="x")
        for call in (two.responses.retrieve, two.responses.cancel, two.responses.delete):
            with pytest.raises(openai.NotFoundError):
                call(made.id)
        with pytest.raises(openai.BadRequestError):
            two.responses.create(model="nano", input="x", previous_response_id=made.id)


def test_a_client_that_leaves_stops_the_model(brief: openai.OpenAI, studio: Any):
    studio.closed.clear()
    body = {"model": "nano", "input": "slow", "stream": True}
    with httpx.stream("POST", f"{brief.base_url}responses", json=body, timeout=60, trust_env=False) as answer:
        next(answer.iter_lines())
    assert studio.closed.wait(30)
