"""Media that many answers order: which are made side by side, which at once, and what edits wait for."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence

import pytest
import torch

from nextgpt.message import Progress
from nextgpt.model.rendering import LIGHT_STEP_MACS, Order, render
from nextgpt.testing.fakes import FakeSynthesizer

MODALITIES = ("image", "audio", "video")


class Watched(FakeSynthesizer):
    """Tells the threads that it works in."""

    def steps(self, *given, **settings):
        self.thread = threading.current_thread()
        yield from super().steps(*given, **settings)


@pytest.fixture
def synthesizers() -> dict[str, Watched]:
    return {name: Watched(name, step_macs=1.0 + position) for position, name in enumerate(MODALITIES)}


def orders(*modalities: str) -> list[Order]:
    return [Order((row, 0), modality, torch.zeros(6, 16), seed=row) for row, modality in enumerate(modalities)]


def made(wanted: Sequence[Order], synthesizers: dict[str, Watched], threads: int = 4) -> dict:
    events = render(wanted, synthesizers.__getitem__, threads=threads)
    return {place: event for place, event in events if not isinstance(event, Progress)}


def test_alike_media_share_a_call_and_others_are_made_at_once(synthesizers):
    wanted = orders("image", "audio", "image", "video")
    before = torch.get_num_threads()
    found = made(wanted, synthesizers)
    assert {place: medium.modality for place, medium in found.items()} == {
        order.place: order.modality for order in wanted
    }
    assert [call["seeds"] for call in synthesizers["image"].calls] == [[0, 2]]
    assert torch.get_num_threads() == before
    assert threading.current_thread() not in {synthesizer.thread for synthesizer in synthesizers.values()}


def test_one_thread_or_a_heavy_step_among_them_means_one_after_the_other(synthesizers):
    made(orders(*MODALITIES), synthesizers, threads=1)
    assert {synthesizer.thread for synthesizer in synthesizers.values()} == {threading.current_thread()}
    synthesizers["video"].step_macs = 2 * LIGHT_STEP_MACS
    made(orders(*MODALITIES), synthesizers)
    assert {synthesizer.thread for synthesizer in synthesizers.values()} == {threading.current_thread()}


def test_all_ways_make_the_same_media(synthesizers):
    wanted = orders("image", "audio", "image", "video")
    assert [medium.digest for _, medium in sorted(made(wanted, synthesizers, 1).items())] == [
        medium.digest for _, medium in sorted(made(wanted, synthesizers).items())
    ]


def test_what_takes_longest_begins_first(synthesizers):
    begun: list[str] = []

    def steps(name: str, given, settings) -> Iterator:
        begun.append(name)
        yield from FakeSynthesizer.steps(synthesizers[name], *given, **settings)

    for name, synthesizer in synthesizers.items():
        synthesizer.steps = lambda *given, name=name, **settings: steps(name, given, settings)
    made(orders("image", "audio", "audio", "audio", "video"), synthesizers, threads=2)
    assert begun[-1] == "image"


@pytest.mark.parametrize("threads", [1, 4])
def test_an_edit_waits_for_the_medium_of_the_same_answer(synthesizers, threads: int):
    first, other = orders("image", "audio")
    edit = Order((0, 1), "image", torch.zeros(6, 16), seed=7, source=first.place)
    found = made([first, other, edit], synthesizers, threads)
    assert synthesizers["image"].calls[-1]["source"] == [found[first.place]]
    assert len(found) == 3
