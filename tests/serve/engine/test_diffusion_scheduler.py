"""The thread of a synthesizer: who waits for whom."""

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
from nextgpt.serve.engine import making
from nextgpt.serve.engine.base import EngineRequest, RequestHandle
from nextgpt.serve.engine.diffusion_scheduler import DiffusionScheduler
from nextgpt.serve.engine.request_state import RequestState
from nextgpt.testing.fakes import FakeSynthesizer


class Wish(RequestState):
    """A work with one picture to be made, and nobody who is told of it."""

    def __init__(self, number: int) -> None:
        super().__init__(number, asyncio.run(_ticket()))
        self.orders = [SynthesisRequest((number, 0), "image", torch.zeros(6, 16), seed=number)]
        self.is_made = threading.Event()

    def show(self, place: SegmentKey, event: DenoisingProgress | Medium) -> bool:
        """The picture is all."""
        return not isinstance(event, DenoisingProgress)


async def _ticket() -> RequestHandle:
    return RequestHandle(EngineRequest(Conversation(), Sampling()))


def batches(
    monkeypatch: pytest.MonkeyPatch, crowd: Callable[[], int], *pauses_s: float, patience_s: float = 0.02
) -> list[int]:
    """The sizes of the batches in which as many pictures were made as there are pauses, each before a wish.

    A pause without end lasts until all before it are made.
    """
    monkeypatch.setattr(making, "PATIENCE_S", patience_s)
    synthesizer = FakeSynthesizer("image")
    made = DiffusionScheduler(
        lambda _: synthesizer,
        max_media=4,
        on_finished=lambda work: work.is_made.set(),
        on_stage_time=lambda *_: None,
        num_active_requests=crowd,
    )
    thread = threading.Thread(target=made.run, daemon=True)
    thread.start()
    wishes = [Wish(number) for number in range(len(pauses_s))]
    for pause_s, wish in zip(pauses_s, wishes, strict=True):
        if math.isinf(pause_s):
            assert wishes[wish.number - 1].is_made.wait(30)
        else:
            time.sleep(pause_s)
        made.submit(wish, wish.orders)
    assert all(wish.is_made.wait(30) for wish in wishes)
    made.stop()
    thread.join(30)
    assert not thread.is_alive()
    return [call["batch"] for call in synthesizer.calls]


def test_one_alone_is_made_at_once(monkeypatch: pytest.MonkeyPatch):
    assert batches(monkeypatch, lambda: 1, 0.0, patience_s=1000.0) == [1]


def test_the_first_of_many_waits_for_those_who_come_soon(monkeypatch: pytest.MonkeyPatch):
    assert batches(monkeypatch, lambda: 100, 0.0, 0.1, 0.1) == [3]


def test_a_full_batch_waits_for_nobody(monkeypatch: pytest.MonkeyPatch):
    assert batches(monkeypatch, lambda: 10**6, 0.0, 0.01, 0.01, 0.01) == [4]


def test_patience_ends(monkeypatch: pytest.MonkeyPatch):
    assert batches(monkeypatch, lambda: 3, 0.0, math.inf) == [1, 1]
