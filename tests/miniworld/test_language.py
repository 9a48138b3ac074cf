"""Captions and descriptions say a content completely, and can be read back."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest

from nextgpt.miniworld.language import (
    attributes,
    canonical_caption,
    caption,
    describe,
    difference,
    in_reading_order,
    parse_caption,
)
from nextgpt.miniworld.language.description_parser import parse_descriptions
from nextgpt.miniworld.language.descriptions import with_own_colors
from nextgpt.miniworld.language.lexicon import all_of_kind, any_of_kind, indefinite, noun, plural, synonyms
from nextgpt.miniworld.objects import OBJECTS
from nextgpt.miniworld.sample_specs import sample_clip, sample_scene, sample_sound
from nextgpt.miniworld.specs import (
    BACKGROUNDS,
    PITCHES,
    SOURCES,
    TINTS,
    ClipSpec,
    MediaSpec,
    ObjectSpec,
    SceneSpec,
    SoundSpec,
    patterns_of,
)


def contents(seed: int, count: int) -> list[MediaSpec]:
    """Contents of all modalities and splits."""
    rng = np.random.default_rng(seed)
    draws = [
        lambda split: in_reading_order(sample_scene(rng, split)),
        lambda split: sample_sound(rng, split),
        lambda split: sample_clip(rng, split, with_sound=False),
    ]
    return [draws[i % 3](("train", "test")[i % 2]) for i in range(count)]


def test_every_object_in_every_tint_is_read_back_from_its_caption_and_its_description():
    for kind in OBJECTS.values():
        for tint in TINTS:
            scene = SceneSpec((ObjectSpec(kind.name, tint),), BACKGROUNDS[len(kind.name) % len(BACKGROUNDS)])
            assert parse_caption(canonical_caption(scene)) == scene
    for kind in OBJECTS.values():
        tint = "natural" if kind.color == "red" else "red"
        scene = SceneSpec((ObjectSpec(kind.name, tint),), "grass")
        assert parse_descriptions(describe(scene)) == (scene,)


def test_a_description_with_an_object_s_own_color_is_read_as_its_natural_tint():
    own = [kind.name for kind in OBJECTS.values() if kind.color]
    assert "key" in own
    for name in own:
        color = OBJECTS[name].color
        scene, clip = SceneSpec((ObjectSpec(name),)), ClipSpec(name, motion="spin")
        for spec in (scene, clip):
            words = describe(with_own_colors(spec, own))
            assert color in words
            assert parse_descriptions(words) == (spec,)


def test_own_colors_are_stated_for_the_named_objects_alone_and_replace_no_other_tint():
    scene = SceneSpec((ObjectSpec("key", place="left"), ObjectSpec("frog", "red", "right", "small")))
    assert with_own_colors(scene, {"frog"}) == scene
    assert with_own_colors(scene, {"key"}).objects[0].tint == "yellow"
    assert with_own_colors(SoundSpec("bell"), {"bell"}) == SoundSpec("bell")


def test_every_sound_is_read_back_from_its_caption():
    for source in SOURCES:
        for pitch in PITCHES:
            for pattern in patterns_of(source):
                sound = SoundSpec(source, pitch, pattern)
                assert parse_caption(canonical_caption(sound)) == sound


def test_sampled_contents_are_read_back_from_their_captions():
    for content in contents(seed=1, count=600):
        assert parse_caption(canonical_caption(content)) == content


def test_sampled_contents_are_read_back_from_answers_that_describe_them():
    for content in contents(seed=2, count=90):
        assert parse_descriptions(f"Here is {describe(content)}. Shall I change anything?") == (content,)


def test_several_descriptions_in_one_answer_are_read_in_order():
    scene, sound = SceneSpec((ObjectSpec("owl"),), "night"), SoundSpec("organ", "low")
    assert parse_descriptions(f"Here is {describe(scene)}. And here is {describe(sound)}.") == (scene, sound)


@pytest.mark.parametrize(
    "text", ["", "a cat", "large red cat top left", "purple cow sound, high, rising, fast", "cat, cat"]
)
def test_what_is_no_canonical_caption_is_not_parsed(text: str):
    assert parse_caption(text) is None


def test_canonical_captions_are_short():
    assert max(len(canonical_caption(content).replace(",", "").split()) for content in contents(3, 600)) <= 21


def test_captions_are_deterministic_and_lower_case():
    content = SceneSpec((ObjectSpec("cat", "red", "top left"),), "grass")
    said = [caption(content, np.random.default_rng(seed)) for seed in range(40)]
    assert said == [caption(content, np.random.default_rng(seed)) for seed in range(40)]
    assert len(set(said)) > 25
    assert all(words == words.lower() for words in said)


def test_captions_never_say_an_attribute_that_the_content_does_not_have():
    scene = SceneSpec((ObjectSpec("cat", "red", "top left", "small"),), "grass")
    for seed in range(200):
        words = set(re.findall(r"\w+", caption(scene, np.random.default_rng(seed))))
        assert not words & {"blue", "green", "right", "bottom", "large", "big", "sea", "night", "white"}


def test_captions_of_the_two_splits_are_phrased_differently():
    clip = ClipSpec("cat", "red", "grass", "left")
    trained = {caption(clip, np.random.default_rng(seed), "train") for seed in range(600)}
    held_out = {caption(clip, np.random.default_rng(seed), "test") for seed in range(600)}
    assert not {words for words in trained if "grass" in words} & {words for words in held_out if "grass" in words}


def test_articles_and_plurals_are_right():
    said = [indefinite(words) for words in ("owl", "ufo", "cat", "orange cat", "ear of corn", "fries")]
    assert said == ["an owl", "a ufo", "a cat", "an orange cat", "an ear of corn", "fries"]
    names = ("cat", "mouse", "fish", "butterfly", "bus", "monkey", "scissors", "bread", "snowman", "torch")
    assert [plural(name) for name in names] == [
        "cats",
        "mice",
        "fish",
        "butterflies",
        "buses",
        "monkeys",
        "pairs of scissors",
        "loaves of bread",
        "snowmen",
        "torches",
    ]
    assert (noun("scissors"), all_of_kind("owl"), all_of_kind("sun"), any_of_kind("bread")) == (
        "pair of scissors",
        "owls",
        "the sun",
        "bread",
    )


def test_synonyms_name_one_object_alone_and_cannot_be_taken_for_an_attribute():
    named = [words for kind in OBJECTS.values() for words in (kind.name, *synonyms(kind.name))]
    assert len(named) == len(set(named))
    assert "big cat" not in named


def test_attributes_and_differences_are_named():
    before = SceneSpec((ObjectSpec("cat", "red"), ObjectSpec("dog")), "grass")
    after = replace(before, objects=(before.objects[0], ObjectSpec("dog", "blue")))
    assert difference(before, after) == ("tint 2",)
    assert attributes(SoundSpec("bell"))["pattern"] == "single"
    assert difference(ClipSpec("cat", motion="left"), ClipSpec("cat", motion="right")) == ("motion",)
