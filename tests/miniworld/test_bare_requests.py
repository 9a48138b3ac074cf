"""Requests of a few words: known things are answered with the defaults, unknown ones in the same forms are declined."""

from __future__ import annotations

import numpy as np

from nextgpt.miniworld.language import DialogueTurn, sample_dialogue
from nextgpt.miniworld.language.description_parser import parse_descriptions
from nextgpt.miniworld.language.out_of_domain import KEY_WORDS, UNKNOWN
from nextgpt.miniworld.objects import OBJECTS
from nextgpt.miniworld.specs import ClipSpec, SceneSpec, SoundSpec
from nextgpt.miniworld.splits import is_held_out


def turns(count: int = 600) -> list[DialogueTurn]:
    rng = np.random.default_rng(0)
    return [turn for _ in range(count) for turn in sample_dialogue(rng, "train", task="phrased.bare").turns]


def test_they_are_short_and_their_answers_name_the_medium():
    for turn in turns():
        assert len(turn.user_text.split()) <= 12
        specs = tuple(part.spec for part in turn.target_media)
        assert parse_descriptions(" ".join(part for part in turn.assistant if isinstance(part, str))) == specs
        assert not any(map(is_held_out, specs))


def test_what_is_not_said_has_its_default():
    for turn in turns():
        for part in turn.target_media:
            if isinstance(part.spec, SceneSpec):
                (obj,) = part.spec.objects
                assert (obj.place, obj.size, part.spec.background) == ("center", "large", "white")
            elif isinstance(part.spec, SoundSpec):
                assert part.spec == SoundSpec(part.spec.source)
            else:
                assert isinstance(part.spec, ClipSpec) and part.spec.background == "white"


def test_most_things_are_known():
    found = turns()
    declined = [turn for turn in found if not turn.target_media]
    assert 0.08 * len(found) < len(declined) < 0.25 * len(found)
    unknown = {name for kind in ("things", "sounds") for name in UNKNOWN[kind].train}
    for turn in declined:
        assert turn.key_words == KEY_WORDS
        answer = str(turn.assistant[0])
        assert any(name in answer for name in unknown)
        assert not any(f"know how a {name} looks" in answer for name in OBJECTS)
