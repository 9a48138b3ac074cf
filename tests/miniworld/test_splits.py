"""Held-out combinations are fixed for ever, about a tenth of all, and never drawn for training."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import numpy as np
import pytest

from nextgpt.miniworld.objects import OBJECTS
from nextgpt.miniworld.sample_specs import sample_clip, sample_scene, sample_sound
from nextgpt.miniworld.specs import (
    BACKGROUNDS,
    MOTIONS,
    PATTERNS,
    PITCHES,
    SOURCES,
    ClipSpec,
    MediaSpec,
    ObjectSpec,
    SceneSpec,
    SoundSpec,
    patterns_of,
)
from nextgpt.miniworld.splits import is_held_out, split_keys

KNOWN_SPLITS = "......................x.......xx........x...."
SAMPLERS = [sample_scene, sample_sound, sample_clip]


def test_the_splits_of_known_contents_never_change() -> None:
    # A model that was trained on these splits is tested on them: a change here spoils every figure ever published.
    contents = _some_contents()
    assert "".join("x" if is_held_out(content) else "." for content in contents) == KNOWN_SPLITS


def _some_contents() -> list[MediaSpec]:
    scenes = [SceneSpec((ObjectSpec("cat", "red"),), background) for background in BACKGROUNDS]
    sounds = [SoundSpec("piano", pitch, pattern) for pitch, pattern in product(PITCHES, PATTERNS)]
    clips = [ClipSpec(name, motion=motion) for name, motion in product(("car", "dog"), MOTIONS)]
    return [*scenes, *sounds, *clips]


@pytest.mark.parametrize("draw", SAMPLERS)
def test_training_draws_nothing_that_is_held_out(draw) -> None:
    rng = np.random.default_rng(0)
    assert not any(is_held_out(draw(rng, "train")) for _ in range(300))


@pytest.mark.parametrize("draw", SAMPLERS)
def test_tests_draw_only_what_is_held_out(draw) -> None:
    rng = np.random.default_rng(0)
    assert all(is_held_out(draw(rng, "test")) for _ in range(100))


@pytest.mark.parametrize("draw", SAMPLERS)
def test_the_same_seed_draws_the_same(draw) -> None:
    first, second = ([draw(rng, "train") for _ in range(20)] for rng in map(np.random.default_rng, (7, 7)))
    assert first == second
    assert len(set(first)) > 15


def test_about_a_tenth_of_each_kind_is_held_out() -> None:
    pictures = [
        SceneSpec((ObjectSpec(kind.name, tint),), background)
        for kind in OBJECTS.values()
        for tint in kind.tints
        for background in BACKGROUNDS
    ]
    sounds = [SoundSpec(*key) for key in product(SOURCES, PITCHES, PATTERNS)]
    for contents in (pictures, sounds):
        assert 0.07 < np.mean([is_held_out(content) for content in contents]) < 0.13


def test_each_source_is_trained_at_every_pitch_and_in_every_pattern() -> None:
    for source in SOURCES:
        heard = [
            (pitch, pattern)
            for pitch, pattern in product(PITCHES, patterns_of(source))
            if not is_held_out(SoundSpec(source, pitch, pattern))
        ]
        assert {pitch for pitch, _ in heard} == set(PITCHES), source
        assert {pattern for _, pattern in heard} == set(patterns_of(source)), source


def test_a_picture_is_held_out_where_any_of_its_objects_is() -> None:
    kept = next(
        ObjectSpec(name, place="left", size="small")
        for name in OBJECTS
        if is_held_out(SceneSpec((ObjectSpec(name),), "sea"))
    )
    free = next(
        ObjectSpec(name, place="right", size="small")
        for name in OBJECTS
        if not is_held_out(SceneSpec((ObjectSpec(name),), "sea"))
    )
    assert is_held_out(SceneSpec((free, kept), "sea"))
    assert not is_held_out(SceneSpec((free,), "sea"))


def test_a_frame_of_a_training_clip_shows_nothing_held_out() -> None:
    rng = np.random.default_rng(1)
    for _ in range(100):
        clip = sample_clip(rng, "train")
        assert not is_held_out(SceneSpec((ObjectSpec(clip.object, clip.tint, size="small"),), clip.background))


def test_a_clip_with_a_held_out_sound_is_held_out() -> None:
    rng = np.random.default_rng(2)
    clip = sample_clip(rng, "train", with_sound=False)
    assert is_held_out(replace(clip, sound=sample_sound(rng, "test")))


def test_place_size_and_speed_play_no_part() -> None:
    placed = ObjectSpec("cat", "red", "left", "small")
    assert set(split_keys(SceneSpec((placed,), "sea"))) == set(
        split_keys(SceneSpec((ObjectSpec("cat", "red"),), "sea"))
    )
    slow, fast = (SoundSpec("piano", "low", "rising", speed) for speed in ("slow", "fast"))
    assert list(split_keys(slow)) == list(split_keys(fast))
