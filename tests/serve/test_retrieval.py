"""Media from an index over HTTP, and the description of what a server offers."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from nextgpt.model.nextgpt import NextGPT
from nextgpt.serve.engine.local import LocalEngine
from nextgpt.serve.settings import ServerSettings
from nextgpt.testing.model import fake_model
from nextgpt.testing.retrieval import FakeHit, FakeIndex
from nextgpt.testing.serial_engine import SerialEngine

ATTRIBUTION = {"item_id": "7", "caption": "a cat", "source": "a shelf", "licence": "CC0", "score": 0.8}


@pytest.fixture(scope="module")
def fake() -> NextGPT:
    return fake_model()


BODY = {
    "model": "tiny",
    "messages": [{"role": "user", "content": "Draw."}],
    "modalities": ["image"],
    "max_tokens": 4,
    "seed": 0,
}
"""A request that is answered with an image."""


@pytest.fixture(scope="module")
def http(fake: NextGPT, serving: Any) -> Iterator[httpx.Client]:
    """A server with an index that is calibrated so that auto finds nothing good enough."""
    engine = LocalEngine(fake, "tiny", index=FakeIndex(thresholds={"image": 0.9}))
    with serving(engine) as address, httpx.Client(base_url=address, timeout=120, trust_env=False) as client:
        yield client


def chat(http: httpx.Client, via: str, **options: Any) -> httpx.Response:
    response = http.post("/v1/chat/completions", json=BODY | {"nextgpt": {"via": via}} | options)
    assert response.status_code == 200, response.text
    return response


def test_a_retrieved_image_names_source_and_licence(http: httpx.Client):
    answer = chat(http, "retrieve").json()
    images = answer["choices"][0]["message"]["images"]
    assert images
    assert all(image["attribution"] == ATTRIBUTION for image in images)
    parts = [part for part in answer["choices"][0]["message"]["parts"] if part["type"] == "image_url"]
    assert all(part["attribution"] == ATTRIBUTION for part in parts)
    assert "retrieval" in answer["nextgpt"]["timings_s"][0]


def test_generated_images_have_no_attribution(http: httpx.Client):
    for via in ("generate", "auto"):
        images = chat(http, via).json()["choices"][0]["message"]["images"]
        assert [image["attribution"] for image in images] == [None] * len(images) != []


def test_a_stream_carries_the_attribution_and_no_denoising(http: httpx.Client):
    lines = chat(http, "retrieve", stream=True).text.splitlines()
    chunks = [json.loads(line[6:]) for line in lines if line.startswith("data: {")]
    images = [image for chunk in chunks for image in chunk["choices"][0]["delta"].get("images", [])]
    assert images
    assert all(image["attribution"] == ATTRIBUTION for image in images)
    assert not [chunk for chunk in chunks if (chunk.get("nextgpt") or {}).get("event") == "progress"]


def test_the_responses_api_retrieves_too(http: httpx.Client):
    request = {"model": "tiny", "input": "Draw.", "nextgpt": {"via": "retrieve"}, "modalities": ["image"]}
    output = http.post("/v1/responses", json=request | {"max_output_tokens": 16}).json()["output"]
    images = [item for item in output if item["type"] == "image_generation_call"]
    assert images
    assert images[0]["attribution"] == ATTRIBUTION  # later ones may be edits, which are generated


def test_a_server_without_an_index_refuses_to_retrieve(model: Any, serving: Any):
    request = {"model": "nano", "messages": [{"role": "user", "content": "hi"}], "nextgpt": {"via": "retrieve"}}
    with serving(SerialEngine(model)) as address:
        response = httpx.post(f"{address}/v1/chat/completions", json=request, trust_env=False)
    assert response.status_code == 400
    assert response.json()["error"]["param"] == "nextgpt.via"
    assert "--index" in response.json()["error"]["message"]


def test_the_default_of_the_server_applies_to_requests_without_via(fake: NextGPT, serving: Any):
    engine = LocalEngine(fake, "tiny", index=FakeIndex())
    with serving(engine, ServerSettings(via="retrieve")) as address:
        answer = httpx.post(f"{address}/v1/chat/completions", json=BODY, timeout=120, trust_env=False).json()
        described = httpx.get(f"{address}/v1/models/tiny", timeout=120, trust_env=False).json()
    assert answer["choices"][0]["message"]["images"][0]["attribution"] == ATTRIBUTION
    assert (described["vias"], described["default_via"]) == (["generate", "retrieve"], "retrieve")


def test_an_index_whose_files_are_gone_gives_way_to_synthesis(fake: NextGPT, serving: Any):
    with serving(LocalEngine(fake, "tiny", index=FakeIndex((FakeHit(0.8, None),)))) as address:
        request = BODY | {"nextgpt": {"via": "retrieve"}}
        answer = httpx.post(f"{address}/v1/chat/completions", json=request, timeout=120, trust_env=False).json()
    assert answer["choices"][0]["message"]["images"][0]["attribution"] is None


def test_models_names_the_modalities_of_embeddings_and_refuses_others(serving: Any):
    fake = fake_model()
    fake.encoder.modalities = ("image",)
    with (
        serving(LocalEngine(fake, "tiny")) as address,
        httpx.Client(base_url=address, timeout=120, trust_env=False) as http,
    ):
        described = http.get("/v1/models/tiny").json()
        refused = http.post("/v1/embeddings", json={"model": "tiny", "input": "words"})
    assert described["embedding_modalities"] == ["image"]
    assert described["knowledge"] is None
    assert refused.status_code == 400
    assert refused.json()["error"]["code"] == "unsupported_modality"


def test_models_describes_what_an_embedded_model_knows(http: httpx.Client, model: Any, serving: Any):
    with serving(SerialEngine(model)) as address:
        knowledge = httpx.get(f"{address}/v1/models/nano", trust_env=False).json()["knowledge"]
    assert "cat" in knowledge["objects"]
    assert "flute" in knowledge["sounds"]
    assert "moving left" in knowledge["motions"]
    assert knowledge["examples"]
