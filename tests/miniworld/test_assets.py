"""What ships with the package is complete and belongs to the tables it is read by."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

import numpy as np
import pytest

from nextgpt.miniworld import note_samples as notes
from nextgpt.miniworld import sprites
from nextgpt.miniworld.objects import CATEGORIES, OBJECTS
from nextgpt.miniworld.specs import INSTRUMENT_SOURCES, PITCHES, SOURCES, TINTS

ASSETS = resources.files("nextgpt.miniworld") / "assets"


def test_the_assets_stay_under_eight_megabytes() -> None:
    assert sum(file.stat().st_size for file in Path(str(ASSETS)).rglob("*") if file.is_file()) < 8_000_000


def test_there_are_at_least_96_kinds_of_objects_and_24_sources() -> None:
    assert len(OBJECTS) >= 96
    assert len(SOURCES) >= 24


@pytest.mark.parametrize("size", sprites.SIZES_PX)
def test_every_object_is_drawn_and_leaves_its_background_visible(size: str) -> None:
    for name in OBJECTS:
        covered = float((1 - sprites.sprite(name, size=size).inverse_alpha).mean())
        assert 0.08 < covered < 0.95, name


def test_a_tint_changes_the_colour_and_keeps_the_outline() -> None:
    for name, kind in OBJECTS.items():
        natural, *tinted = (sprites.sprite(name, tint) for tint in kind.tints)
        for one in tinted:
            assert (one.inverse_alpha == natural.inverse_alpha).all()
            assert np.abs(one.premultiplied_rgb - natural.premultiplied_rgb).mean() > 2, name


@pytest.mark.parametrize("tint", sprites.TINT_COLORS)
def test_a_tinted_object_has_the_mean_colour_of_its_tint(tint: str) -> None:
    for name in ("ghost", "hat", "panda", "circle"):  # white, black, both, gray
        drawing = sprites.sprite(name, tint)
        mean = drawing.premultiplied_rgb.sum((0, 1)) / (1 - drawing.inverse_alpha).sum()
        nearest = min(
            sprites.TINT_COLORS, key=lambda other: np.abs(_hue(mean) - _hue(sprites.TINT_COLORS[other])).sum()
        )
        assert nearest == tint, name


def test_every_object_has_facts_that_are_sentences_and_names_of_its_own() -> None:
    names = [name for kind in OBJECTS.values() for name in (kind.name, *kind.synonyms)]
    assert len(set(names)) == len(names)
    for kind in OBJECTS.values():
        assert kind.category in CATEGORIES
        assert kind.color is None or kind.color in TINTS[1:]
        assert kind.facts
        assert all(fact.endswith(".") and fact[0].isupper() for fact in kind.facts), kind.name


def test_a_linked_sound_is_a_source_of_the_same_name() -> None:
    linked = [kind for kind in OBJECTS.values() if kind.sound]
    assert len(linked) >= 10
    assert all(kind.sound in SOURCES and kind.sound == kind.name for kind in linked)


def test_every_note_is_heard_and_as_loud_as_the_others() -> None:
    for source in SOURCES:
        for pitch in PITCHES:
            for step in range(len(notes.INTERVALS)):
                blocks = notes.note_sample(source, pitch, step).reshape(-1, 3200)
                loudest = float(np.sqrt(np.square(blocks).mean(1)).max())
                assert 0.02 < loudest < 0.1, (source, pitch, step)


def test_a_fast_note_is_loud_at_once() -> None:
    for source in INSTRUMENT_SOURCES:
        start = notes.note_sample(source, "middle", 0)[:3200]
        assert np.sqrt(np.square(start).mean()) > 0.04, source


def _hue(color: np.ndarray | tuple[int, int, int]) -> np.ndarray:
    """A colour without its brightness: differences between its channels, scaled to one length."""
    channels = np.asarray(color, np.float64)
    channels = channels - channels.mean()
    return channels / np.linalg.norm(channels)
