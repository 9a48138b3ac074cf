"""Contents become media: always the same bytes, of the promised shape, and each value of each attribute shows."""

from __future__ import annotations

from dataclasses import replace
from hashlib import blake2b
from itertools import combinations

import numpy as np
import pytest

from nextgpt.errors import ConfigError
from nextgpt.message import Audio, Image, Video
from nextgpt.miniworld.note_sequence import render_sound
from nextgpt.miniworld.objects import OBJECTS
from nextgpt.miniworld.render import object_box, render, render_clip, render_scene
from nextgpt.miniworld.sample_specs import LAYOUTS
from nextgpt.miniworld.specs import (
    BACKGROUNDS,
    MOTIONS,
    PATTERNS,
    PITCHES,
    PLACES,
    SIZES,
    SOURCES,
    SPEEDS,
    TINTS,
    ClipSpec,
    ObjectSpec,
    SceneSpec,
    SoundSpec,
)

CAT = ObjectSpec("cat")


def test_a_picture_has_64_by_64_pixels_of_8_bits() -> None:
    picture = render_scene(SceneSpec((CAT,), "sea"))
    assert picture.shape == (64, 64, 3)
    assert picture.dtype == np.uint8


def test_a_sound_lasts_two_seconds_and_never_clips() -> None:
    for source in SOURCES:
        samples = render_sound(SoundSpec(source, pattern="chord"))
        assert samples.shape == (32000,)
        assert samples.dtype == np.float32
        assert 0.05 < np.abs(samples).max() < 1, source


def test_a_clip_has_sixteen_frames() -> None:
    frames = render_clip(ClipSpec("cat", motion="spin"))
    assert frames.shape == (16, 64, 64, 3)
    assert frames.dtype == np.uint8


def test_the_same_content_gives_the_same_bytes() -> None:
    for content in (SceneSpec((CAT,), "night"), ClipSpec("car", "red", "grass", "grow")):
        draw = render_scene if isinstance(content, SceneSpec) else render_clip
        assert draw(content).tobytes() == draw(content).tobytes()
    assert render_sound(SoundSpec("bird")).tobytes() == render_sound(SoundSpec("bird")).tobytes()


def test_rendering_one_thing_leaves_no_trace_in_the_next() -> None:
    before = render_scene(SceneSpec((CAT,), "sea"))
    render_scene(SceneSpec((ObjectSpec("car", "red"),), "sea"))
    render_sound(SoundSpec("piano", pattern="chord"))
    assert (render_scene(SceneSpec((CAT,), "sea")) == before).all()


def test_every_object_looks_like_no_other_in_every_tint_and_size() -> None:
    drawn = [
        _digest(render_scene(SceneSpec((ObjectSpec(kind.name, tint, size=size),))))
        for kind in OBJECTS.values()
        for tint in kind.tints
        for size in SIZES
    ]
    assert len(set(drawn)) == len(drawn)


@pytest.mark.parametrize(
    ("attribute", "values", "content"),
    [
        ("background", BACKGROUNDS, SceneSpec((CAT,))),
        ("pitch", PITCHES, SoundSpec("piano")),
        ("pattern", PATTERNS, SoundSpec("piano")),
        ("speed", SPEEDS, SoundSpec("piano", pattern="rising")),
        ("source", SOURCES, SoundSpec("piano")),
        ("motion", MOTIONS, ClipSpec("cat")),
        ("tint", TINTS, ClipSpec("cat")),
    ],
)
def test_every_value_shows(attribute: str, values: tuple[str, ...], content: SceneSpec | SoundSpec | ClipSpec) -> None:
    drawn = {_digest(_array(replace(content, **{attribute: value}))) for value in values}
    assert len(drawn) == len(values)


def test_an_object_changes_only_the_box_where_it_is_placed() -> None:
    plain = render_scene(SceneSpec((), "sea")).astype(int)
    for place in PLACES:
        for size in SIZES:
            top, left, side = object_box(place, size)
            changed = np.abs(render_scene(SceneSpec((ObjectSpec("cat", "natural", place, size),), "sea")) - plain).sum(
                -1
            )
            inside = changed[top : top + side, left : left + side].sum()
            assert inside > 0
            assert changed.sum() == inside


def test_boxes_lie_on_the_grid_of_the_latents() -> None:
    assert {value % 8 for place in PLACES for size in SIZES for value in object_box(place, size)} == {0}


@pytest.mark.parametrize("count", LAYOUTS)
def test_several_objects_never_overlap(count: int) -> None:
    for layout in LAYOUTS[count]:
        assert len(layout) == count
        for one, other in combinations([object_box(place, "small") for place in layout], 2):
            assert abs(one[0] - other[0]) >= 32 or abs(one[1] - other[1]) >= 32


def test_things_move_the_way_their_motion_says() -> None:
    first, last = (_centre_of_change("car", motion) for motion in ("left", "right"))
    assert first[0][1] > first[-1][1] + 20
    assert last[-1][1] > last[0][1] + 20
    rising, sinking = (_centre_of_change("car", motion) for motion in ("up", "down"))
    assert rising[0][0] > rising[-1][0] + 20
    assert sinking[-1][0] > sinking[0][0] + 20


def test_growing_things_grow_and_disappearing_things_are_gone_at_last() -> None:
    growing, leaving = _change("ball", "grow"), _change("ball", "disappear")
    assert (growing[-1] > 0).sum() > 4 * (growing[0] > 0).sum()
    assert leaving[0].sum() > 0
    assert leaving[-1].sum() == 0


def test_pitches_are_an_octave_apart() -> None:
    strongest = [_strongest_hz(SoundSpec("xylophone", pitch)) for pitch in PITCHES]
    assert strongest[1] / strongest[0] == pytest.approx(2, abs=0.1)
    assert strongest[2] / strongest[1] == pytest.approx(2, abs=0.1)


def test_a_fast_pattern_is_over_sooner_than_a_slow_one() -> None:
    ends = {
        speed: np.flatnonzero(np.abs(render_sound(SoundSpec("organ", "middle", "rising", speed))) > 0.01)[-1]
        for speed in SPEEDS
    }
    assert ends["fast"] < ends["slow"] / 2


def test_render_gives_the_types_that_travel() -> None:
    assert isinstance(render(SceneSpec((CAT,))), Image)
    sound = render(SoundSpec("bell"))
    assert isinstance(sound, Audio)
    assert (sound.samples.shape, sound.sample_rate_hz) == ((1, 32000), 16000)
    clip = render(ClipSpec("cat", sound=SoundSpec("bell")))
    assert isinstance(clip, Video)
    assert clip.duration_s == 2.0
    assert clip.audio is not None
    assert clip.audio.duration_s == 2.0


@pytest.mark.parametrize(
    ("content", "hint"),
    [
        (SceneSpec((ObjectSpec("catt"),)), "cat"),
        (SceneSpec((ObjectSpec("cat", "rde"),)), "red"),
        (SceneSpec((CAT,), "nigth"), "night"),
        (SceneSpec((ObjectSpec("cat", place="top rigth"),)), "top right"),
        (SoundSpec("pianoo"), "piano"),
        (SoundSpec("piano", pattern="risin"), "rising"),
        (ClipSpec("cat", motion="lef"), "left"),
    ],
)
def test_an_unknown_value_names_the_nearest(content: SceneSpec | SoundSpec | ClipSpec, hint: str) -> None:
    with pytest.raises(ConfigError, match=f"Did you mean '{hint}'"):
        render(content)


def _array(content: SceneSpec | SoundSpec | ClipSpec) -> np.ndarray:
    if isinstance(content, SceneSpec):
        return render_scene(content)
    return render_sound(content) if isinstance(content, SoundSpec) else render_clip(content)


def _digest(array: np.ndarray) -> bytes:
    return blake2b(array.tobytes()).digest()


def _change(name: str, motion: str) -> np.ndarray:
    """How much each pixel of each frame differs from the plain background, int (16, 64, 64)."""
    name = {"ball": "soccer ball"}.get(name, name)
    plain = render_scene(SceneSpec((), "white")).astype(int)
    return np.abs(render_clip(ClipSpec(name, motion=motion)) - plain).sum(-1)


def _centre_of_change(name: str, motion: str) -> np.ndarray:
    """Row and column of the middle of what changed, float (16, 2)."""
    change = _change(name, motion)
    pixels = np.arange(64)
    total = change.sum((1, 2))
    return np.stack([change.sum(2) @ pixels / total, change.sum(1) @ pixels / total], axis=1)


def _strongest_hz(sound: SoundSpec) -> float:
    """The strongest frequency of the first second."""
    spectrum = np.abs(np.fft.rfft(render_sound(sound)[3200:19200]))
    return float(spectrum.argmax())
