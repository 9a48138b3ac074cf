"""Media that many answers order: which are made side by side, which at once, and what edits wait for."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace

import pytest
import torch

from nextgpt.message import DenoisingProgress
from nextgpt.model.synthesis.batching import PARALLEL_MAX_MACS, SynthesisRequest, synthesize_batch
from nextgpt.model.timing import StageTimer
from nextgpt.testing.fakes import FakeSynthesizer

MODALITIES = ("image", "audio", "video")


class Watched(FakeSynthesizer):
    """Record the thread that it works in."""

    def denoise(self, *given, **settings):
        self.thread = threading.current_thread()
        yield from super().denoise(*given, **settings)


@pytest.fixture
def synthesizers() -> dict[str, Watched]:
    return {name: Watched(name, macs_per_step=1.0 + position) for position, name in enumerate(MODALITIES)}


def orders(*modalities: str) -> list[SynthesisRequest]:
    return [
        SynthesisRequest((row, 0), modality, torch.zeros(6, 16), seed=row) for row, modality in enumerate(modalities)
    ]


def made(wanted: Sequence[SynthesisRequest], synthesizers: dict[str, Watched], threads: int = 4) -> dict:
    events = synthesize_batch(wanted, synthesizers.__getitem__, threads=threads)
    return {place: event for place, event in events if not isinstance(event, DenoisingProgress)}


def test_alike_media_share_a_call_and_others_are_made_at_once(synthesizers):
    wanted = orders("image", "audio", "image", "video")
    found = made(wanted, synthesizers)
    assert {place: medium.modality for place, medium in found.items()} == {
        order.key: order.modality for order in wanted
    }
    assert [call["seeds"] for call in synthesizers["image"].calls] == [[0, 2]]
    assert threading.current_thread() not in {synthesizer.thread for synthesizer in synthesizers.values()}


@pytest.mark.parametrize("reason", ["one thread", "a heavy step", "many of one", "another device"])
def test_there_may_be_reasons_to_make_one_after_the_other(synthesizers, reason: str):
    wanted = orders(*MODALITIES)
    if reason == "a heavy step":
        synthesizers["video"].macs_per_step = 2 * PARALLEL_MAX_MACS
    if reason == "many of one":
        synthesizers["image"].macs_per_step = PARALLEL_MAX_MACS / 8
        wanted = orders(*MODALITIES, *["image"] * 9)
    if reason == "another device":
        synthesizers["audio"].device = torch.device("meta")
    made(wanted, synthesizers, threads=1 if reason == "one thread" else 4)
    assert {synthesizer.thread for synthesizer in synthesizers.values()} == {threading.current_thread()}


def test_other_settings_of_one_modality_are_another_call_in_the_same_thread(synthesizers):
    first, other, sound = orders("image", "image", "audio")
    wanted = [first, replace(other, num_inference_steps=3), sound]
    threads: list[threading.Thread] = []
    steps = synthesizers["image"].denoise

    def watched(*given, **settings) -> Iterator:
        threads.append(threading.current_thread())
        yield from steps(*given, **settings)

    synthesizers["image"].denoise = watched
    assert len(made(wanted, synthesizers)) == 3
    assert len(threads) == 2 and len(set(threads)) == 1


@pytest.mark.parametrize("threads", [1, 4])
def test_the_clock_is_told_what_each_modality_took_itself(synthesizers, monkeypatch, threads: int):
    told = threading.local()  # each thread has a time of its own, which only making a picture moves
    monkeypatch.setattr(time, "perf_counter", lambda: getattr(told, "seconds", 0.0))

    def slow(*given, **settings) -> Iterator:
        told.seconds = getattr(told, "seconds", 0.0) + 2.0
        yield from FakeSynthesizer.denoise(synthesizers["image"], *given, **settings)

    synthesizers["image"].denoise = slow
    clock = StageTimer()
    list(synthesize_batch(orders("audio", "image"), synthesizers.__getitem__, threads=threads, timer=clock))
    assert clock.seconds == {"audio": 0.0, "image": 2.0}


def test_all_ways_make_the_same_media(synthesizers):
    wanted = orders("image", "audio", "image", "video")
    assert [medium.digest for _, medium in sorted(made(wanted, synthesizers, 1).items())] == [
        medium.digest for _, medium in sorted(made(wanted, synthesizers).items())
    ]


def test_what_takes_longest_begins_first(synthesizers):
    begun: list[str] = []
    both_longer_ones = threading.Barrier(2, timeout=60)  # else one could end before the other's thread runs at all

    def steps(name: str, given, settings) -> Iterator:
        begun.append(name)
        if name != "image":
            both_longer_ones.wait()
        yield from FakeSynthesizer.denoise(synthesizers[name], *given, **settings)

    for name, synthesizer in synthesizers.items():
        synthesizer.denoise = lambda *given, name=name, **settings: steps(name, given, settings)
    made(orders("image", "audio", "audio", "audio", "video"), synthesizers, threads=2)
    assert begun[-1] == "image"


@pytest.mark.parametrize("threads", [1, 4])
def test_an_edit_waits_for_the_medium_of_the_same_answer(synthesizers, threads: int):
    first, other = orders("image", "audio")
    edit = SynthesisRequest((0, 1), "image", torch.zeros(6, 16), seed=7, edit_source=first.key)
    found = made([first, other, edit], synthesizers, threads)
    assert synthesizers["image"].calls[-1]["edit_source"] == [found[first.key]]
    assert len(found) == 3
