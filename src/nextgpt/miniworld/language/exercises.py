"""Exercises, which training alone has: many questions about one medium, many edits in a row, pictures to describe.

In a dialogue as people lead it, few words say whether two things are the same. Here most answers hang on it, so that a
model learns to compare, and to find one object among several, from far fewer words.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from nextgpt.errors import ConfigError
from nextgpt.miniworld.language import heard, seen
from nextgpt.miniworld.language.about_media import comparison, description, question_about
from nextgpt.miniworld.language.edits import edit
from nextgpt.miniworld.language.talk import MEDIUM_NOUNS, Draw, Talk
from nextgpt.miniworld.scene import Content, Scene
from nextgpt.miniworld.splits import Split

COMPARING = (
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
TRIES = 1000
"""To draw a picture of several objects, of which the small world itself needs few."""


def interview(talk: Talk) -> Talk:
    """Questions about one medium, or about which of two pictures shows something."""
    if talk.chance(PAIR_SHARE):
        return _of_two(talk)
    modality = talk.choose(tuple(MEDIUM_NOUNS))
    content = talk.draw(modality)
    for _ in range(talk.choose(TURNS)):
        turn = question_about(talk, content, modality, COMPARING) if talk.chance(COMPARING_SHARE) else None
        turn = turn or question_about(talk, content, modality)
        assert turn is not None, "something can be asked about everything"
        talk = talk.after(turn)
    return talk


def _of_two(talk: Talk) -> Talk:
    while (first := comparison(talk)) is None:
        pass
    talk = talk.after(first)
    scenes = [shown.content for shown in first.given]
    for _ in range(talk.choose(TURNS) - 1):
        turn = comparison(talk, scenes)
        assert turn is not None, "they differ, as they were compared before"
        talk = talk.after(turn)
    return talk


def editing(talk: Talk) -> Talk:
    """A medium that is changed, and changed again; a picture is one of several objects, of which one is meant."""
    talk = replace(talk, draw_from=_crowded(talk.draw_from))
    modality = talk.choose(("image", "image", "image", "image", "video", "audio"))
    for _ in range(talk.choose(EDITS_IN_A_ROW)):
        if turn := edit(talk, modality):
            talk = talk.after(turn)
    return talk


def describing(talk: Talk) -> Talk:
    """Pictures of several objects, alike or not, and what each of them shows."""
    crowded = replace(talk, draw_from=_crowded(talk.draw_from, may_be_alike=True))
    for _ in range(talk.choose(PICTURES_IN_A_ROW)):
        talk = talk.after(description(replace(crowded, turns=()), "image"))
    return talk


def _crowded(draw: Draw, may_be_alike: bool = False) -> Draw:
    """``draw`` where every picture has several objects, and where they may not be alike at least two kinds of them."""

    def crowded(rng: np.random.Generator, modality: str, split: Split) -> Content:
        for _ in range(TRIES):
            content = draw(rng, modality, split)
            if not isinstance(content, Scene):
                return content
            things = content.objects if may_be_alike else {placed.object for placed in content.objects}
            if len(things) > 1:
                return content
        raise ConfigError(
            f"{TRIES} pictures were drawn, none of several objects; expected some, which exercises are about. "
            "Give own_media.share below 1, or leave the exercises out."
        )

    return crowded


EXERCISES = {"interview": interview, "editing": editing, "describing": describing}
