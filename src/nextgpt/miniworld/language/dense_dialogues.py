"""Exercises, which training alone has: many questions about one medium, many edits in a row, pictures to describe.

In a dialogue as people lead it, few words say whether two things are the same. Here most answers hang on it, so that a
model learns to compare, and to find one object among several, from far fewer words.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from nextgpt.errors import ConfigError
from nextgpt.miniworld.language import audio_questions as heard
from nextgpt.miniworld.language import visual_questions as seen
from nextgpt.miniworld.language.dialogue_state import MEDIUM_NOUNS, DialogueState, SpecSource
from nextgpt.miniworld.language.edit_templates import edit
from nextgpt.miniworld.language.media_questions import comparison, description, question_about
from nextgpt.miniworld.specs import MediaSpec, SceneSpec
from nextgpt.miniworld.splits import Split

COMPARING_QUESTIONS = (
    seen.is_object,
    seen.is_there,
    seen.is_colored,
    seen.is_category,
    seen.is_moving,
    seen.how_many_of,
    heard.is_source,
    heard.is_pitched,
)
"""What is answered by comparing what is asked for with what is there."""
COMPARING_SHARE = 0.6
"""How much of an interview these are, where the medium allows them."""
PAIR_SHARE = 0.15
"""How many interviews are about two pictures."""
TURNS = (4, 5, 6, 7, 8)
EDITS_IN_A_ROW = (3, 4, 5, 6)
PICTURES_IN_A_ROW = (3, 4, 5)
MAX_TRIES = 1000
"""To draw a picture of several objects, of which the small world itself needs few."""


def many_questions(state: DialogueState) -> DialogueState:
    """Questions about one medium, or about which of two pictures shows something."""
    if state.bernoulli(PAIR_SHARE):
        return _image_pair_questions(state)
    modality = state.choice(tuple(MEDIUM_NOUNS))
    spec = state.sample(modality)
    for _ in range(state.choice(TURNS)):
        turn = (
            question_about(state, spec, modality, COMPARING_QUESTIONS)
            if state.bernoulli(COMPARING_SHARE)
            else None
        )
        turn = turn or question_about(state, spec, modality)
        assert turn is not None, "something can be asked about everything"
        state = state.with_turn(turn)
    return state


def _image_pair_questions(state: DialogueState) -> DialogueState:
    while (first := comparison(state)) is None:
        pass
    state = state.with_turn(first)
    scenes = [shown.spec for shown in first.input_media]
    for _ in range(state.choice(TURNS) - 1):
        turn = comparison(state, scenes)
        assert turn is not None, "they differ, as they were compared before"
        state = state.with_turn(turn)
    return state


def many_edits(state: DialogueState) -> DialogueState:
    """A medium that is changed, and changed again; a picture is one of several objects, of which one is meant."""
    state = replace(state, spec_source=_multi_object(state.spec_source))
    modality = state.choice(("image", "image", "image", "image", "video", "audio"))
    for _ in range(state.choice(EDITS_IN_A_ROW)):
        if turn := edit(state, modality):
            state = state.with_turn(turn)
    return state


def many_descriptions(state: DialogueState) -> DialogueState:
    """Pictures of several objects, alike or not, and what each of them shows."""
    multi_object = replace(state, spec_source=_multi_object(state.spec_source, may_be_alike=True))
    for _ in range(state.choice(PICTURES_IN_A_ROW)):
        state = state.with_turn(description(replace(multi_object, turns=()), "image"))
    return state


def _multi_object(spec_source: SpecSource, may_be_alike: bool = False) -> SpecSource:
    """``draw`` where every picture has several objects, and where they may not be alike at least two kinds of them."""

    def multi_object(rng: np.random.Generator, modality: str, split: Split) -> MediaSpec:
        for _ in range(MAX_TRIES):
            spec = spec_source(rng, modality, split)
            if not isinstance(spec, SceneSpec):
                return spec
            objects = spec.objects if may_be_alike else {obj.object for obj in spec.objects}
            if len(objects) > 1:
                return spec
        raise ConfigError(
            f"{MAX_TRIES} pictures were drawn, none of several objects; expected some, which exercises are about. "
            "Give own_media.share below 1, or leave the exercises out."
        )

    return multi_object


DENSE_TASKS = {
    "many_questions": many_questions,
    "many_edits": many_edits,
    "many_descriptions": many_descriptions,
}
