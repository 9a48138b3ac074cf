"""Replies whose media come from an index, with a fake index."""

from __future__ import annotations

import pytest
import torch

from nextgpt.errors import ConfigError
from nextgpt.message import Attribution, Conversation, DenoisingProgress, MediumFinished, ReplyFinished, Sampling
from nextgpt.model.nextgpt import NextGPT
from nextgpt.model.retrieval import check_via, retrieve
from nextgpt.model.synthesis.batching import SynthesisRequest
from nextgpt.testing.model import fake_model
from nextgpt.testing.retrieval import FakeHit, FakeIndex
from nextgpt.testing.scripted_model import tiny_image


def request(key: int = 0, modality: str = "image", source: object = None) -> SynthesisRequest:
    return SynthesisRequest((0, key), modality, torch.zeros(2, 3), seed=0, edit_source=source)  # type: ignore[arg-type]


def test_retrieve_takes_the_best_candidate():
    better = FakeHit(0.9)
    retrieved, remaining = retrieve([request()], "retrieve", FakeIndex((better, FakeHit(0.8))))
    assert retrieved[0, 0].medium is better.medium
    assert retrieved[0, 0].attribution == Attribution("7", "a cat", "a shelf", "CC0", 0.9)
    assert remaining == []


@pytest.mark.parametrize(("threshold", "is_retrieved"), [(0.79, True), (0.81, False)])
def test_auto_retrieves_from_the_threshold_upwards(threshold: float, is_retrieved: bool):
    retrieved, remaining = retrieve([request()], "auto", FakeIndex(thresholds={"image": threshold}))
    assert (len(retrieved), len(remaining)) == ((1, 0) if is_retrieved else (0, 1))


def test_auto_synthesizes_modalities_without_a_threshold():
    _, remaining = retrieve([request()], "auto", FakeIndex(thresholds={"audio": 0.1}))
    assert len(remaining) == 1


def test_modalities_that_the_index_lacks_are_synthesized():
    retrieved, remaining = retrieve([request(0), request(1, "audio")], "retrieve", FakeIndex())
    assert list(retrieved) == [(0, 0)]
    assert [item.modality for item in remaining] == ["audio"]


def test_edits_are_synthesized_from_what_was_retrieved():
    requests = [request(0), request(1, source=(0, 0)), request(2, source=tiny_image())]
    retrieved, remaining = retrieve(requests, "retrieve", FakeIndex())
    assert list(retrieved) == [(0, 0)]
    assert remaining[0].edit_source is retrieved[0, 0].medium
    assert remaining[1] is requests[2]


def test_a_file_that_is_gone_gives_way_to_the_next_or_to_synthesis():
    retrieved, _ = retrieve([request()], "retrieve", FakeIndex((FakeHit(0.9, None), FakeHit(0.5))))
    assert retrieved[0, 0].attribution.score == 0.5
    retrieved, remaining = retrieve([request()], "retrieve", FakeIndex((FakeHit(0.9, None),)))
    assert not retrieved
    assert len(remaining) == 1


@pytest.fixture(scope="module")
def media_request() -> tuple[NextGPT, Sampling]:
    """A model and a sampling with which it replies with an image."""
    return fake_model(), Sampling(modalities=("image",), max_tokens=4)


def test_a_reply_carries_the_attribution_of_its_retrieved_media(media_request: tuple[NextGPT, Sampling]):
    model, sampling = media_request
    index = FakeIndex()
    generated, reply = model.chat("Draw.", sampling), model.chat("Draw.", sampling, via="retrieve", index=index)
    assert [part.modality for part in reply.parts] == [part.modality for part in generated.parts]
    positions = [place for place, part in enumerate(reply.parts) if part.modality == "image"]
    assert list(reply.attributions) == positions
    assert all(reply.parts[place] is index.hits[0].medium for place in positions)
    assert reply.attributions[positions[0]].licence == "CC0"
    assert not generated.attributions
    assert "retrieval" in reply.timings_s


def test_a_stream_yields_retrieved_media_without_denoising(media_request: tuple[NextGPT, Sampling]):
    model, sampling = media_request
    events = list(model.stream("Draw.", sampling, via="retrieve", index=FakeIndex()))
    assert not [event for event in events if isinstance(event, DenoisingProgress)]
    finished = [event for event in events if isinstance(event, MediumFinished)]
    assert finished
    assert all(event.attribution is not None for event in finished)
    assert isinstance(events[-1], ReplyFinished)
    assert len(events[-1].reply.attributions) == len(finished)


def test_the_next_turn_goes_on_from_a_retrieved_medium(media_request: tuple[NextGPT, Sampling]):
    model, sampling = media_request
    reply = model.chat("Draw.", sampling, via="retrieve", index=FakeIndex())
    conversation = Conversation().with_message("Draw.").with_reply(reply).with_message("Again.")
    assert model.chat(conversation, sampling).parts


@pytest.mark.parametrize(
    ("via", "index", "message"),
    [
        ("retrieve", None, "needs an index"),
        ("auto", FakeIndex(), "needs calibrated scores"),
        ("fetch", FakeIndex(), "via 'fetch' is unknown"),
    ],
)
def test_options_that_cannot_work_are_refused(via: str, index: FakeIndex | None, message: str):
    with pytest.raises(ConfigError, match=message):
        check_via(via, index)
