"""Training dialogues that are dense in hard answers: many questions, edits or descriptions in a row.

In natural dialogues, few tokens depend on comparing two things. Here most answers do, so that a model learns
to compare and to find one of several objects from much less text.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from nextgpt.errors import ConfigError
from nextgpt.miniworld.language import audio_questions, visual_questions
from nextgpt.miniworld.language.dialogue_state import MEDIUM_NOUNS, DialogueState, SpecSource
from nextgpt.miniworld.language.edit_templates import edit
from nextgpt.miniworld.language.media_questions import comparison, description, question_about
from nextgpt.miniworld.specs import MediaSpec, SceneSpec
from nextgpt.miniworld.splits import Split

COMPARING_QUESTIONS = (
    visual_questions.is_object,
    visual_questions.is_there,
    visual_questions.is_colored,
    visual_questions.is_category,
    visual_questions.is_moving,
    visual_questions.how_many_of,
    audio_questions.is_source,
    audio_questions.is_pitched,
)
"""Answer functions that compare the question with the medium."""
COMPARING_SHARE = 0.6
"""Fraction of comparing questions, if the medium allows them."""
PAIR_SHARE = 0.15
"""Fraction of question dialogues about two images."""
TURNS = (4, 5, 6, 7, 8)
EDITS_IN_A_ROW = (3, 4, 5, 6)
PICTURES_IN_A_ROW = (3, 4, 5)
MAX_TRIES = 1000
"""Attempts to sample an image of several objects."""


def many_questions(state: DialogueState) -> DialogueState:
    """Sample questions about one medium, or about two images."""
    if state.bernoulli(PAIR_SHARE):
        return _image_pair_questions(state)
    modality = state.choice(tuple(MEDIUM_NOUNS))
    spec = state.sample(modality)
    for _ in range(state.choice(TURNS)):
        turn = question_about(state, spec, modality, COMPARING_QUESTIONS) if state.bernoulli(COMPARING_SHARE) else None
        turn = turn or question_about(state, spec, modality)
        assert turn is not None, "something can be asked about everything"
        state = state.with_turn(turn)
    return state


def _image_pair_questions(state: DialogueState) -> DialogueState:
    while (first := comparison(state)) is None:
        pass
    state = state.with_turn(first)
    scenes = [part.spec for part in first.input_media]
    for _ in range(state.choice(TURNS) - 1):
        turn = comparison(state, scenes)
        assert turn is not None, "they differ, as they were compared before"
        state = state.with_turn(turn)
    return state


def many_edits(state: DialogueState) -> DialogueState:
    """Sample a medium and successive edits; images contain several objects, each edit changes one."""
    state = replace(state, spec_source=_multi_object(state.spec_source))
    modality = state.choice(("image", "image", "image", "image", "video", "audio"))
    for _ in range(state.choice(EDITS_IN_A_ROW)):
        if turn := edit(state, modality):
            state = state.with_turn(turn)
    return state


def many_descriptions(state: DialogueState) -> DialogueState:
    """Sample images of several objects, identical or not, and their descriptions."""
    multi_object = replace(state, spec_source=_multi_object(state.spec_source, may_be_alike=True))
    for _ in range(state.choice(PICTURES_IN_A_ROW)):
        state = state.with_turn(description(replace(multi_object, turns=()), "image"))
    return state


def _multi_object(spec_source: SpecSource, may_be_alike: bool = False) -> SpecSource:
    """Restrict images to several objects, of at least two kinds unless ``may_be_alike``."""

    def multi_object(rng: np.random.Generator, modality: str, split: Split) -> MediaSpec:
        for _ in range(MAX_TRIES):
            spec = spec_source(rng, modality, split)
            if not isinstance(spec, SceneSpec):
                return spec
            objects = spec.objects if may_be_alike else {obj.object for obj in spec.objects}
            if len(objects) > 1:
                return spec
        raise ConfigError(
            f"none of {MAX_TRIES} sampled images has several objects; expected some, as the tasks "
            f"{', '.join(DENSE_TASKS)} need them. Set self_generated.share below 1, or remove these tasks."
        )

    return multi_object


DENSE_TASKS = {"many_questions": many_questions, "many_edits": many_edits, "many_descriptions": many_descriptions}
