"""Files, pictures, sounds, films and embeddings through OpenAI's own client."""

from __future__ import annotations

import io
import time
from base64 import b64decode

import httpx
import openai
import pytest

from nextgpt.message import Audio, Image, Video
from nextgpt.testing.scripted_model import ScriptedModel


def test_a_file_is_kept_named_listed_given_back_and_forgotten(client: openai.OpenAI, media_bytes: dict[str, bytes]):
    file = client.files.create(file=("a cat.png", media_bytes["image"], "image/png"), purpose="user_data")
    assert file.filename == "a_cat.png" and file.bytes == len(media_bytes["image"])
    assert len(file.id) >= len("file-") + 32, "128 bits that nobody guesses"
    assert client.files.retrieve(file.id).id == file.id
    assert file.id in [listed.id for listed in client.files.list()]
    assert client.files.content(file.id).read() == media_bytes["image"]
    assert client.files.delete(file.id).deleted
    with pytest.raises(openai.NotFoundError):
        client.files.retrieve(file.id)


def test_an_uploaded_file_can_be_said(client: openai.OpenAI, model: ScriptedModel, media_bytes: dict[str, bytes]):
    file = client.files.create(file=("x.mp4", media_bytes["video"]), purpose="user_data")
    said = [{"type": "file", "file": {"file_id": file.id}}, {"type": "video_url", "video_url": {"url": file.id}}]
    client.chat.completions.create(model="nano", messages=[{"role": "user", "content": said}])
    assert [part.modality for part in model.received[-1].messages[0].parts] == ["video", "video"]


def test_only_media_are_kept(client: openai.OpenAI):
    for content in (b"<svg onload='alert(1)'/>", b"hello", b"%PDF-1.7"):
        with pytest.raises(openai.BadRequestError, match="expected an image, audio or video file"):
            client.files.create(file=("x", content), purpose="user_data")


def test_pictures_are_generated(client: openai.OpenAI, model: ScriptedModel):
    answer = client.images.generate(prompt="a red square", model="nano", n=2)
    assert [Image.open(b64decode(image.b64_json)).image.size for image in answer.data] == [(8, 8), (8, 8)]
    assert answer.size == "8x8" and model.received[-1].messages[-1].text == "a red square"


def test_pictures_can_be_named_by_address(client: openai.OpenAI, http: httpx.Client):
    answer = client.images.generate(prompt="x", response_format="url")
    assert http.get(answer.data[0].url).content.startswith(b"\x89PNG")


def test_a_stream_of_a_picture_brings_previews_and_then_the_picture(client: openai.OpenAI):
    events = list(client.images.generate(prompt="x", stream=True, partial_images=2))
    assert [event.type for event in events] == ["image_generation.partial_image"] * 2 + ["image_generation.completed"]
    assert [event.partial_image_index for event in events[:-1]] == [0, 1]
    assert all(Image.open(b64decode(event.b64_json)) for event in events)


def test_pictures_are_edited(client: openai.OpenAI, model: ScriptedModel, media_bytes: dict[str, bytes]):
    answer = client.images.edit(image=io.BytesIO(media_bytes["image"]), prompt="make it blue", model="nano")
    assert Image.open(b64decode(answer.data[0].b64_json))
    assert [part.modality for part in model.received[-1].messages[0].parts] == ["image", "text"]


def test_an_edit_needs_a_picture(http: httpx.Client):
    answer = http.post("/v1/images/edits", json={"prompt": "make it blue"})
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "image")


@pytest.mark.parametrize("path", ["/v1/audio/generate", "/v1/sound-generation"])
def test_sounds_are_generated(http: httpx.Client, path: str):
    answer = http.post(path, json={"prompt": "a bell", "response_format": "wav"})
    assert answer.headers["content-type"] == "audio/wav"
    assert Audio.open(answer.content).sample_rate_hz == 16_000
    assert http.get(f"/v1/files/{answer.headers['x-file-id']}/content").content == answer.content


def test_speech_is_refused_without_retries(client: openai.OpenAI):
    with pytest.raises(openai.BadRequestError, match="no voice") as error:
        client.audio.speech.create(model="nano", voice="alloy", input="hello")
    assert error.value.code == "not_supported"


def test_a_film_is_a_job(client: openai.OpenAI, media_bytes: dict[str, bytes]):
    job = client.videos.create(prompt="a ball", model="nano")
    assert job.object == "video" and job.status in ("queued", "in_progress", "completed")
    deadline = time.monotonic() + 60
    while (job := client.videos.retrieve(job.id)).status != "completed" and time.monotonic() < deadline:
        time.sleep(0.02)
    assert (job.status, job.progress, job.size) == ("completed", 100, "8x8")
    assert len(Video.open(client.videos.download_content(job.id).read()).frames) == 4
    assert job.id in [listed.id for listed in client.videos.list().data]
    assert client.videos.delete(job.id).deleted
    with pytest.raises(openai.NotFoundError):
        client.videos.retrieve(job.id)


def test_a_film_may_start_from_a_picture(client: openai.OpenAI, model: ScriptedModel, media_bytes: dict[str, bytes]):
    job = client.videos.create_and_poll(
        prompt="move it", model="nano", input_reference=("x.png", media_bytes["image"]), poll_interval_ms=20
    )
    assert job.status == "completed"
    assert [part.modality for part in model.received[-1].messages[0].parts] == ["image", "text"]


def test_edits_and_films_take_media_that_json_names(
    http: httpx.Client, model: ScriptedModel, data_uri, media_bytes: dict[str, bytes]
):
    file = http.post("/v1/files", files={"file": ("x.png", media_bytes["image"])}).json()["id"]
    ways = (data_uri("image"), file, {"file_id": file}, {"image_url": data_uri("image")}, [file, data_uri("image")])
    for given in ways:
        edit = {"prompt": "make it blue", "image": given}
        assert http.post("/v1/images/edits", json=edit).status_code == 200
        count = len(given) if isinstance(given, list) else 1
        assert [part.modality for part in model.received[-1].messages[0].parts] == ["image"] * count + ["text"]
    film = {"prompt": "move it", "input_reference": file}
    assert http.post("/v1/videos/sync", json=film).headers["content-type"] == "video/mp4"
    assert [part.modality for part in model.received[-1].messages[0].parts] == ["image", "text"]
    for wrong in (7, {}, [None], ""):
        answer = http.post("/v1/videos", json={"prompt": "move it", "input_reference": wrong})
        assert (answer.status_code, answer.json()["error"]["param"]) == (400, "input_reference")


def test_a_film_that_is_not_done_cannot_be_had(http: httpx.Client):
    job = http.post("/v1/videos", json={"prompt": "slow"}).json()
    assert http.get(f"/v1/videos/{job['id']}/content").status_code == 409
    assert http.delete(f"/v1/videos/{job['id']}").json()["deleted"]


def test_texts_and_media_are_embedded(client: openai.OpenAI, http: httpx.Client, data_uri):
    assert [row.embedding for row in client.embeddings.create(model="nano", input=["a", "b"]).data] == [[1, 0]] * 2
    parts = [{"type": "image_url", "image_url": data_uri("image")}, {"type": "text", "text": "a"}]
    answer = http.post("/v1/embeddings", json={"model": "nano", "input": parts}).json()
    assert [row["embedding"] for row in answer["data"]] == [[1.0, 0.0]] * 2


def test_metrics_count_requests(http: httpx.Client):
    http.get("/health")
    text = http.get("/metrics").text
    assert 'nextgpt_requests_total{route="/health",status="200"}' in text
    assert "nextgpt_queue_depth" in text and "nextgpt_time_to_first_token_seconds_bucket" in text
