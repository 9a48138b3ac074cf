"""The judge names what true renderings show, forgives what generated media do wrong, and sees nothing in nothing."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from tests.miniworld.attribute_match import match_attributes

from nextgpt.miniworld.backgrounds import background
from nextgpt.miniworld.judge import judge_clips, judge_scenes, judge_sounds
from nextgpt.miniworld.motions import motion_layers
from nextgpt.miniworld.note_sequence import render_sound
from nextgpt.miniworld.render import render_clip, render_scene, to_bytes
from nextgpt.miniworld.sample_specs import sample_clip, sample_scene, sample_sound
from nextgpt.miniworld.specs import BACKGROUNDS, ClipSpec, ObjectSpec, SceneSpec, SoundSpec

TWO = SceneSpec((ObjectSpec("cat", "red", "left", "small"), ObjectSpec("dog", "natural", "right", "small")), "sea")


JUDGES = {
    "image": (sample_scene, render_scene, judge_scenes),
    "audio": (sample_sound, render_sound, judge_sounds),
    "video": (sample_clip, render_clip, judge_clips),
}


def _accuracy(
    *, cases: int, seed: int = 0, distort: Callable[[np.ndarray], np.ndarray] = lambda medium: medium
) -> dict[tuple[str, str], float]:
    """Judge distorted renderings of the test split; return the accuracy per modality and attribute."""
    rng, matches = np.random.default_rng(seed), defaultdict[tuple[str, str], list[bool]](list)
    for modality, (sample, render, judge) in JUDGES.items():
        specs = [sample(rng, "test") for _ in range(cases)]
        results = judge(np.stack([distort(render(spec)) for spec in specs]))
        for spec, result in zip(specs, results, strict=True):
            for attribute, is_match in match_attributes(spec, result.spec).items():
                matches[modality, attribute].append(is_match)
    return {key: float(np.mean(values)) for key, values in matches.items()}


def test_true_renderings_of_the_held_out_split_are_judged_right() -> None:
    assert all(accuracy >= 0.99 for accuracy in _accuracy(cases=16, seed=3).values())


def test_the_accuracy_falls_where_media_are_spoiled_beyond_recognition() -> None:
    accuracy = _accuracy(cases=4, distort=np.zeros_like)
    assert accuracy["image", "object"] < 0.5
    assert accuracy["audio", "source"] < 0.5


def test_blur_noise_and_a_cast_of_colour_are_forgiven_in_pictures() -> None:
    rng = np.random.default_rng(0)
    scenes = [sample_scene(rng, "test") for _ in range(32)]
    pictures = np.stack([render_scene(scene) for scene in scenes]).astype(np.float32)
    noisy = pictures + rng.normal(0, 12, pictures.shape)
    dark = pictures * 0.95 + (6, 0, -6)
    for spoiled in (_blurred(pictures), noisy, dark):
        seen = judge_scenes(np.clip(spoiled, 0, 255).astype(np.uint8))
        assert _share_right(scenes, seen) >= 0.97


def test_an_object_off_its_place_keeps_its_name_and_gets_the_nearest_place() -> None:
    picture = render_scene(SceneSpec((ObjectSpec("cat", "blue", "center", "small"),), "pink"))
    (seen,) = judge_scenes(np.roll(picture, (5, -6), (0, 1))[None])
    assert seen.spec == SceneSpec((ObjectSpec("cat", "blue", "center", "small"),), "pink")


@pytest.mark.parametrize("name", BACKGROUNDS)
def test_an_empty_picture_shows_no_objects_and_leaves_nothing_unexplained(name: str) -> None:
    (seen,) = judge_scenes(render_scene(SceneSpec((), name))[None])
    assert seen.spec == SceneSpec((), name)
    assert seen.residual < 0.05


def test_what_is_not_of_this_world_stays_unexplained() -> None:
    rng = np.random.default_rng(0)
    chaos = np.kron(rng.integers(0, 256, (1, 8, 8, 3)), np.ones((1, 8, 8, 1))).astype(np.uint8)
    true = render_scene(TWO)[None]
    assert judge_scenes(true)[0].residual < 0.01
    assert judge_scenes(chaos)[0].residual > 0.4


def test_loudness_noise_and_a_late_beginning_are_forgiven_in_sounds() -> None:
    rng = np.random.default_rng(1)
    sounds = [sample_sound(rng, "test") for _ in range(24)]
    samples = np.stack([render_sound(sound) for sound in sounds])
    hiss = rng.normal(0, 0.002, samples.shape).astype(np.float32)
    for spoiled in (0.2 * samples, samples + hiss, np.roll(samples, 700, axis=1)):
        assert _share_right(sounds, judge_sounds(spoiled)) >= 0.95


def test_phase_is_not_heard() -> None:
    sound = SoundSpec("violin", "high", "rising", "fast")
    (heard,) = judge_sounds(-render_sound(sound)[None])
    assert heard.spec == sound


def test_a_sound_of_another_length_is_judged() -> None:
    samples = render_sound(SoundSpec("bell", "low"))
    for fitted in (samples[:24000], np.pad(samples, (0, 5000))):
        (heard,) = judge_sounds(fitted[None])
        assert heard.spec.source == "bell"


def test_silence_is_no_sound_of_this_world() -> None:
    (heard,) = judge_sounds(np.zeros((1, 32000), np.float32))
    assert heard.residual > 0.9


def test_an_object_off_its_track_is_still_recognised() -> None:
    rng = np.random.default_rng(2)
    clips = [sample_clip(rng, "test", with_sound=False) for _ in range(6)]
    frames = np.stack([_off_its_track(clip) for clip in clips])
    assert _share_right(clips, judge_clips(frames)) >= 0.95  # one attribute of 24 may suffer


def test_compare_matches_objects_whatever_their_order() -> None:
    assert all(match_attributes(TWO, replace(TWO, objects=TWO.objects[::-1])).values())


def test_compare_names_exactly_what_differs() -> None:
    moved = replace(TWO, objects=(replace(TWO.objects[0], place="top left"), TWO.objects[1]))
    assert [name for name, is_right in match_attributes(TWO, moved).items() if not is_right] == ["place"]
    alone = replace(TWO, objects=TWO.objects[:1])
    assert match_attributes(TWO, alone)["background"]
    assert not match_attributes(TWO, alone)["object"]
    assert not match_attributes(TWO, alone)["count"]
    assert match_attributes(alone, TWO)["object"]
    assert match_attributes(SoundSpec("bell", "low"), SoundSpec("bell", "high")) == {
        "source": True, "pitch": False, "pattern": True, "speed": True,
    }  # fmt: skip
    assert not match_attributes(ClipSpec("cat", motion="up"), ClipSpec("cat", motion="down"))["motion"]


def _share_right(contents: list, verdicts: list) -> float:
    """The share of attributes that are judged right."""
    right = [
        is_right
        for content, verdict in zip(contents, verdicts, strict=True)
        for is_right in match_attributes(content, verdict.spec).values()
    ]
    return float(np.mean(right))


def _off_its_track(clip: ClipSpec) -> np.ndarray:
    """The frames of ``clip``, its object three pixels too low and two too far right."""
    light, transparency = (
        np.roll(layer, (3, 2), (1, 2)) for layer in motion_layers(clip.object, clip.tint, clip.motion)
    )
    return to_bytes(background(clip.background) * transparency + light)


def _blurred(pictures: np.ndarray) -> np.ndarray:
    for axis in (1, 2):
        pictures = (np.roll(pictures, 1, axis) + 2 * pictures + np.roll(pictures, -1, axis)) / 4
    return pictures
