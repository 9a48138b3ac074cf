"""Batching delay of the diffusion scheduler."""

from __future__ import annotations

import asyncio
import math
import threading
import time
from collections.abc import Callable

import pytest
import torch

from nextgpt.message import Conversation, DenoisingProgress, Medium, Sampling
from nextgpt.model.synthesis.batching import SegmentKey, SynthesisRequest
from nextgpt.serve.engine import diffusion_scheduler
from nextgpt.serve.engine.base import EngineRequest, RequestHandle
from nextgpt.serve.engine.diffusion_scheduler import DiffusionScheduler
from nextgpt.serve.engine.request_state import RequestState
from nextgpt.testing.fakes import FakeSynthesizer


class ImageRequest(RequestState):
    """A request for one image whose events nobody reads."""

    def __init__(self, number: int) -> None:
        super().__init__(number, asyncio.run(_handle()))
        self.requests = [SynthesisRequest((number, 0), "image", torch.zeros(6, 16), seed=number)]
        self.is_finished = threading.Event()

    def on_synthesis_event(self, key: SegmentKey, event: DenoisingProgress | Medium) -> bool:
        """The image is the last medium."""
        return not isinstance(event, DenoisingProgress)


async def _handle() -> RequestHandle:
    return RequestHandle(EngineRequest(Conversation(), Sampling()))


def batches(
    monkeypatch: pytest.MonkeyPatch, num_active: Callable[[], int], *pauses_s: float, wait_s: float = 0.02
) -> list[int]:
    """Return the batch sizes for one image request per pause; each pause comes before its request.

    An infinite pause lasts until all earlier requests are finished.
    """
    monkeypatch.setattr(diffusion_scheduler, "BATCH_WAIT_S", wait_s)
    synthesizer = FakeSynthesizer("image")
    scheduler = DiffusionScheduler(
        lambda _: synthesizer,
        max_media=4,
        on_finished=lambda request: request.is_finished.set(),
        on_stage_time=lambda *_: None,
        num_active_requests=num_active,
    )
    thread = threading.Thread(target=scheduler.run, daemon=True)
    thread.start()
    requests = [ImageRequest(number) for number in range(len(pauses_s))]
    for pause_s, request in zip(pauses_s, requests, strict=True):
        if math.isinf(pause_s):
            assert requests[request.number - 1].is_finished.wait(30)
        else:
            time.sleep(pause_s)
        scheduler.submit(request, request.requests)
    assert all(request.is_finished.wait(30) for request in requests)
    scheduler.stop()
    thread.join(30)
    assert not thread.is_alive()
    return [call["batch"] for call in synthesizer.calls]


def test_a_single_request_starts_at_once(monkeypatch: pytest.MonkeyPatch):
    assert batches(monkeypatch, lambda: 1, 0.0, wait_s=1000.0) == [1]


def test_the_first_of_many_waits_for_those_that_arrive_soon(monkeypatch: pytest.MonkeyPatch):
    assert batches(monkeypatch, lambda: 100, 0.0, 0.1, 0.1) == [3]


def test_a_full_batch_starts_at_once(monkeypatch: pytest.MonkeyPatch):
    assert batches(monkeypatch, lambda: 10**6, 0.0, 0.01, 0.01, 0.01) == [4]


def test_the_delay_ends(monkeypatch: pytest.MonkeyPatch):
    assert batches(monkeypatch, lambda: 3, 0.0, math.inf) == [1, 1]
