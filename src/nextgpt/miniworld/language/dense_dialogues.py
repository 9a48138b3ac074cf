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


def many_questions(talk: DialogueState) -> DialogueState:
    """Questions about one medium, or about which of two pictures shows something."""
    if talk.bernoulli(PAIR_SHARE):
        return _image_pair_questions(talk)
    modality = talk.choice(tuple(MEDIUM_NOUNS))
    content = talk.sample(modality)
    for _ in range(talk.choice(TURNS)):
        turn = (
            question_about(talk, content, modality, COMPARING_QUESTIONS)
            if talk.bernoulli(COMPARING_SHARE)
            else None
        )
        turn = turn or question_about(talk, content, modality)
        assert turn is not None, "something can be asked about everything"
        talk = talk.with_turn(turn)
    return talk


def _image_pair_questions(talk: DialogueState) -> DialogueState:
    while (first := comparison(talk)) is None:
        pass
    talk = talk.with_turn(first)
    scenes = [shown.spec for shown in first.input_media]
    for _ in range(talk.choice(TURNS) - 1):
        turn = comparison(talk, scenes)
        assert turn is not None, "they differ, as they were compared before"
        talk = talk.with_turn(turn)
    return talk


def many_edits(talk: DialogueState) -> DialogueState:
    """A medium that is changed, and changed again; a picture is one of several objects, of which one is meant."""
    talk = replace(talk, spec_source=_multi_object(talk.spec_source))
    modality = talk.choice(("image", "image", "image", "image", "video", "audio"))
    for _ in range(talk.choice(EDITS_IN_A_ROW)):
        if turn := edit(talk, modality):
            talk = talk.with_turn(turn)
    return talk


def many_descriptions(talk: DialogueState) -> DialogueState:
    """Pictures of several objects, alike or not, and what each of them shows."""
    crowded = replace(talk, spec_source=_multi_object(talk.spec_source, may_be_alike=True))
    for _ in range(talk.choice(PICTURES_IN_A_ROW)):
        talk = talk.with_turn(description(replace(crowded, turns=()), "image"))
    return talk


def _multi_object(draw: SpecSource, may_be_alike: bool = False) -> SpecSource:
    """``draw`` where every picture has several objects, and where they may not be alike at least two kinds of them."""

    def crowded(rng: np.random.Generator, modality: str, split: Split) -> MediaSpec:
        for _ in range(MAX_TRIES):
            content = draw(rng, modality, split)
            if not isinstance(content, SceneSpec):
                return content
            things = content.objects if may_be_alike else {placed.object for placed in content.objects}
            if len(things) > 1:
                return content
        raise ConfigError(
            f"{MAX_TRIES} pictures were drawn, none of several objects; expected some, which exercises are about. "
            "Give own_media.share below 1, or leave the exercises out."
        )

    return crowded


DENSE_TASKS = {
    "many_questions": many_questions,
    "many_edits": many_edits,
    "many_descriptions": many_descriptions,
}
