"""Conversations of requests for images of two or three objects."""

from __future__ import annotations

from collections import Counter

import numpy as np

from nextgpt.miniworld.language import Dialogue, sample_dialogue
from nextgpt.miniworld.language.description_parser import parse_descriptions
from nextgpt.miniworld.language.descriptions import in_reading_order
from nextgpt.miniworld.specs import SceneSpec
from nextgpt.miniworld.splits import is_held_out


def dialogues(count: int = 150) -> list[Dialogue]:
    rng = np.random.default_rng(0)
    return [sample_dialogue(rng, "train", task="phrased.several_objects") for _ in range(count)]


def scenes() -> list[SceneSpec]:
    found = [part.spec for dialogue in dialogues() for turn in dialogue.turns for part in turn.target_media]
    assert all(isinstance(spec, SceneSpec) for spec in found)
    return [spec for spec in found if isinstance(spec, SceneSpec)]


def test_answers_name_all_objects_with_their_colors_and_places():
    for dialogue in dialogues():
        assert 2 <= len(dialogue.turns) <= 4
        for turn in dialogue.turns:
            words = " ".join(part for part in turn.assistant if isinstance(part, str))
            assert [in_reading_order(spec) for spec in parse_descriptions(words)] == [turn.target_media[0].spec]


def test_most_images_have_three_objects_and_none_is_held_out():
    counts = Counter(len(scene.objects) for scene in scenes())
    assert set(counts) == {2, 3} and counts[3] > counts[2]
    assert not any(map(is_held_out, scenes()))


def test_objects_of_one_kind_have_colors_of_their_own_or_share_one():
    alike = [scene for scene in scenes() if len({obj.object for obj in scene.objects}) == 1]
    tints = Counter(tuple(sorted(Counter(obj.tint for obj in scene.objects).values())) for scene in alike)
    assert len(alike) > 20 and {(1, 1), (1, 1, 1), (1, 2)} <= set(tints)
