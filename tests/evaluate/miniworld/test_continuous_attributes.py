from __future__ import annotations

import numpy as np
import PIL.Image
import pytest

from nextgpt.evaluate.miniworld.continuous_attributes import (
    hue_difference,
    measure_hue,
    measure_pitch,
    measure_place,
    render_moved,
    render_rotated,
    render_transposed,
    tint_hue,
)
from nextgpt.media.types import Audio, Image
from nextgpt.miniworld.render import render
from nextgpt.miniworld.specs import ObjectSpec, SceneSpec, SoundSpec


@pytest.mark.parametrize(("tint", "degrees"), [("green", 0), ("green", 33), ("blue", -40), ("red", 14)])
def test_a_rotated_hue_is_measured_to_within_a_few_degrees(tint: str, degrees: float):
    hue = measure_hue(render_rotated(SceneSpec((ObjectSpec("car", tint),)), degrees))
    assert hue_difference(hue, tint_hue(tint) + degrees) < 5


def test_angles_are_measured_across_zero():
    assert hue_difference(355, 10) == 15
    assert hue_difference(10, 355) == 15
    assert hue_difference(90, 270) == 180


def test_places_are_measured_in_pixels():
    scene = SceneSpec((ObjectSpec("car", "red", "center", "small"),))
    before, after = measure_place(render(scene)), measure_place(render_moved(scene, 6, -7))
    assert np.subtract(after, before) == pytest.approx((6, -7), abs=0.01)


def test_pitches_are_measured_in_semitones():
    middle = measure_pitch(render(SoundSpec("flute")))
    assert middle == pytest.approx(-9, abs=0.2)
    assert measure_pitch(render(SoundSpec("flute", "high"))) - middle == pytest.approx(12, abs=0.2)
    transposed = render_transposed(SoundSpec("flute"), 4.5)
    assert transposed.samples.shape == render(SoundSpec("flute")).samples.shape
    assert measure_pitch(transposed) - middle == pytest.approx(4.5, abs=0.1)


def test_what_has_no_value_is_not_measured():
    gray = Image(PIL.Image.new("RGB", (64, 64), (90, 90, 90)))
    assert measure_hue(gray) is None
    assert measure_place(gray) is None
    assert measure_pitch(Audio(np.zeros((1, 16_000), np.float32), 16_000)) is None
    assert measure_pitch(Audio(np.ones((1, 10), np.float32), 16_000)) is None
