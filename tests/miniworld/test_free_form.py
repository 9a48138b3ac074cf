"""Requests of free form: what is labelled is said, what must not be generated is not, and the order is kept."""

from __future__ import annotations

import re

import numpy as np
import pytest

from nextgpt.miniworld.language import DialogueTurn
from nextgpt.miniworld.language.lexicon import noun, plural
from nextgpt.miniworld.language.phrasings import load_authors, sample_phrased_dialogue
from nextgpt.miniworld.language.phrasings.author import SLOT, everyday_nouns, shared_phrasings
from nextgpt.miniworld.objects import OBJECTS
from nextgpt.miniworld.specs import TINTS, ClipSpec, ObjectSpec, SceneSpec, SoundSpec
from nextgpt.miniworld.splits import is_held_out

AUTHORS = load_authors("train")
COUNT = 250


def free_turns(task: str, count: int = COUNT) -> list[DialogueTurn]:
    rng = np.random.default_rng(1)
    return [sample_phrased_dialogue(rng, AUTHORS, task, free_form_rate=1.0).turns[-1] for _ in range(count)]


def synonyms(attribute: str, value: str) -> set[str]:
    return {word.lower() for author in AUTHORS for word in getattr(author.synonyms, attribute).get(value, ())}


def is_named(text: str, name: str) -> bool:
    words = {name, noun(name), plural(name), *everyday_nouns().get(name, ())} | synonyms("nouns", name)
    return any(word.lower() in text for word in words)


def misses(turns: list[DialogueTurn]) -> list[str]:
    """Return the messages that do not say what their labels state."""
    missed = []
    for turn in turns:
        text = turn.user_text.lower()
        for part in turn.target_media:
            spec = part.spec
            objects: tuple[ObjectSpec, ...] = ()
            if isinstance(spec, SceneSpec):
                objects = spec.objects
            elif isinstance(spec, ClipSpec):
                objects = (ObjectSpec(spec.object, spec.tint),)
            for obj in objects:
                colors = {obj.tint, "grey", "violet"} | synonyms("colors", obj.tint)
                if not is_named(text, obj.object) or (obj.tint != "natural" and not any(c in text for c in colors)):
                    missed.append(text)
    return missed


@pytest.mark.parametrize("task", ["text_to_image", "text_to_video", "text_to_several"])
def test_objects_and_colors_of_the_labels_are_said(task: str) -> None:
    missed = misses(free_turns(task))
    assert len(missed) < 0.08 * COUNT, missed  # typing errors change some words


@pytest.mark.parametrize("modality", ["image", "audio", "video"])
def test_a_request_for_one_medium_is_labelled_with_one_of_its_modality(modality: str) -> None:
    for turn in free_turns(f"text_to_{modality}"):
        (part,) = turn.target_media
        assert part.modality == modality
        assert not is_held_out(part.spec)


def test_several_media_have_all_mixes_of_modalities() -> None:
    mixes = {tuple(part.modality for part in turn.target_media) for turn in free_turns("text_to_several")}
    assert {("image", "audio"), ("audio", "image"), ("image", "image"), ("video", "audio"), ("video", "video")} <= mixes
    assert any(len(mix) == 3 for mix in mixes)


def test_media_are_labelled_in_the_order_of_the_words() -> None:
    """Only where the things of an image and of a sound have names that occur once."""
    compared = 0
    for turn in free_turns("text_to_several"):
        text, names = turn.user_text.lower(), []
        for part in turn.target_media:
            spec = part.spec
            if isinstance(spec, SoundSpec):
                names.append(spec.source)
            elif isinstance(spec, ClipSpec):
                names.append(spec.object)
            elif len(spec.objects) == 1:
                names.append(spec.objects[0].object)
        if len(names) == len(turn.target_media) == len(set(names)) and all(text.count(name) == 1 for name in names):
            assert sorted(names, key=text.index) == names, text
            compared += 1
    assert compared > 20


def test_messages_that_want_words_have_no_media_and_no_open_slot() -> None:
    for turn in free_turns("general"):
        assert not turn.target_media
        assert not SLOT.search(turn.user_text)


def test_objects_of_one_kind_have_colors_as_the_judge_names_them() -> None:
    """An object in its own color has the natural tint."""
    for turn in free_turns("text_to_image"):
        spec = turn.target_media[0].spec
        assert isinstance(spec, SceneSpec)
        assert all(obj.tint in OBJECTS[obj.object].tints for obj in spec.objects), spec


def test_remarks_name_no_color() -> None:
    """A color in a remark would be part of the request."""
    for key in ("remarks_before", "remarks_after"):
        for line in shared_phrasings()[key]:
            assert not SLOT.search(line)
            assert not set(TINTS) & set(re.findall(r"[a-z]+", line.lower())), line
