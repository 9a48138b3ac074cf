"""Random specs of the training split or of the held-out test split."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TypeVar

import numpy as np

from nextgpt.miniworld.objects import OBJECTS
from nextgpt.miniworld.specs import (
    BACKGROUNDS,
    MOTIONS,
    PITCHES,
    PLACES,
    SIZES,
    SOURCES,
    SPEEDS,
    TIMED_PATTERNS,
    ClipSpec,
    MediaSpec,
    ObjectSpec,
    SceneSpec,
    SoundSpec,
    patterns_of,
)
from nextgpt.miniworld.splits import Split, is_held_out

LAYOUTS: dict[int, tuple[tuple[str, ...], ...]] = {
    2: (("left", "right"), ("top", "bottom"), ("top left", "bottom right"), ("bottom left", "top right")),
    3: (
        ("top left", "top right", "bottom"),
        ("top", "bottom left", "bottom right"),
        ("top left", "bottom left", "right"),
        ("left", "top right", "bottom right"),
    ),
}
"""Places of several objects by their number; the boxes of one layout never overlap."""
COUNT_SHARES = (0.55, 0.3, 0.15)
"""Probabilities of one, two and three objects per image."""
NATURAL_SHARE = 0.35
SAME_KIND_SHARE = 0.3
"""Probability that several objects share kind and tint, so that counting is meaningful."""
SOUND_SHARE = 0.3
"""Probability that a clip has audio."""

Choice = TypeVar("Choice")
Drawn = TypeVar("Drawn", bound=MediaSpec)


def sample_scene(rng: np.random.Generator, split: Split = "train", count: int | None = None) -> SceneSpec:
    """Sample an image spec of ``count`` objects; None means one to three."""
    number = count or int(rng.choice(3, p=COUNT_SHARES)) + 1
    return _sample_in_split(lambda: _any_scene(rng, number), split)


def sample_sound(rng: np.random.Generator, split: Split = "train") -> SoundSpec:
    """Sample an audio spec."""
    return _sample_in_split(lambda: _any_sound(rng), split)


def sample_clip(rng: np.random.Generator, split: Split = "train", with_sound: bool | None = None) -> ClipSpec:
    """Sample a video spec. ``with_sound`` forces audio on or off; None samples it.

    In the test split the image or the motion is held out, and so is the audio if there is any.
    """
    clip = _sample_in_split(lambda: _any_clip(rng), split)
    if rng.random() < SOUND_SHARE if with_sound is None else with_sound:
        return replace(clip, sound=sample_sound(rng, split))
    return clip


def sample_object(rng: np.random.Generator, place: str = "center", size: str = "large") -> ObjectSpec:
    """Sample an object in any tint, of either split: check the split of the resulting scene."""
    name = _choose(rng, list(OBJECTS))
    tinted = [tint for tint in OBJECTS[name].tints if tint != "natural"]
    tint = "natural" if rng.random() < NATURAL_SHARE else _choose(rng, tinted)
    return ObjectSpec(name, tint, place, size)


def _any_scene(rng: np.random.Generator, count: int) -> SceneSpec:
    background = _choose(rng, BACKGROUNDS)
    if count == 1:
        return SceneSpec((sample_object(rng, _choose(rng, PLACES), _choose(rng, SIZES)),), background)
    places = rng.permutation(_choose(rng, LAYOUTS[count])).tolist()
    if rng.random() < SAME_KIND_SHARE:
        first = sample_object(rng, size="small")
        objects = tuple(replace(first, place=place) for place in places)
    else:
        objects = tuple(sample_object(rng, place, "small") for place in places)
    return SceneSpec(objects, background)


def _any_sound(rng: np.random.Generator) -> SoundSpec:
    source = _choose(rng, SOURCES)
    pattern = _choose(rng, patterns_of(source))
    speed = _choose(rng, SPEEDS) if pattern in TIMED_PATTERNS else "slow"
    return SoundSpec(source, _choose(rng, PITCHES), pattern, speed)


def _any_clip(rng: np.random.Generator) -> ClipSpec:
    obj = sample_object(rng)
    return ClipSpec(obj.object, obj.tint, _choose(rng, BACKGROUNDS), _choose(rng, MOTIONS))


def _sample_in_split(draw: Callable[[], Drawn], split: Split) -> Drawn:
    """Sample until the spec belongs to ``split``."""
    while True:
        spec = draw()
        if is_held_out(spec) == (split == "test"):
            return spec


def _choose(rng: np.random.Generator, choices: Sequence[Choice]) -> Choice:
    # Generator.choice would build an array of the choices each time, at ten times the cost.
    return choices[int(rng.integers(len(choices)))]
