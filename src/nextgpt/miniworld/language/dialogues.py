"""Whole dialogues: single tasks, and conversations of several turns that mix them all."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

import numpy as np

from nextgpt.errors import ConfigError, unknown
from nextgpt.miniworld.language.about_media import description, question
from nextgpt.miniworld.language.dialogue import Dialogue, Turn
from nextgpt.miniworld.language.edits import edit
from nextgpt.miniworld.language.exercises import EXERCISES
from nextgpt.miniworld.language.facts import fact, facts
from nextgpt.miniworld.language.indirect import indirect
from nextgpt.miniworld.language.links import link
from nextgpt.miniworld.language.missing import missing
from nextgpt.miniworld.language.outside import outside
from nextgpt.miniworld.language.requests import request, request_several
from nextgpt.miniworld.language.smalltalk import FAREWELL, GREETING, PRAISE, THANKS, small_talk
from nextgpt.miniworld.language.talk import MEDIUM_NOUNS, Draw, Talk, draw_content
from nextgpt.miniworld.splits import Split

Move = Callable[[Talk], Turn | None]
MOVES: dict[str, tuple[Move, float]] = {
    "text_to_image": (partial(request, modality="image"), 2.0),
    "text_to_audio": (partial(request, modality="audio"), 1.5),
    "text_to_video": (partial(request, modality="video"), 1.5),
    "text_to_several": (request_several, 0.6),
    "image_to_text": (partial(description, modality="image"), 1.2),
    "audio_to_text": (partial(description, modality="audio"), 0.8),
    "video_to_text": (partial(description, modality="video"), 0.8),
    "question": (question, 2.5),
    "edit_image": (partial(edit, modality="image"), 1.5),
    "edit_audio": (partial(edit, modality="audio"), 1.0),
    "edit_video": (partial(edit, modality="video"), 1.0),
    "link": (link, 1.0),
    "facts": (facts, 0.7),
    "indirect_image": (partial(indirect, modality="image"), 0.8),
    "indirect_audio": (partial(indirect, modality="audio"), 0.6),
    "small_talk": (small_talk, 0.6),
    "outside": (outside, 1.2),
    "missing": (missing, 0.4),
}
"""Every kind of turn with its weight."""
TASKS = (*MOVES, "dialogue")
"""What people do with a model, and :func:`sample_dialogue` can be asked for."""
DIALOGUE_SHARE = 0.4
"""How many of all dialogues are conversations of several turns."""
TURNS = (3, 4, 5, 6, 7)
FOLLOWING_SHARE = 0.55
"""How often a turn of a conversation is about what was said before, where it can be."""
LEAD_SHARE = 0.5
"""How often a single edit, question or link is about a medium that the model itself made a turn before."""
_MADE_BY = {
    "edit_image": "image", "edit_audio": "audio", "edit_video": "video",
    "image_to_text": "image", "audio_to_text": "audio", "video_to_text": "video",
}  # fmt: skip
GREETING_SHARE, FAREWELL_SHARE, THANKS_SHARE = 0.2, 0.12, 0.08
MEDIA = tuple(MEDIUM_NOUNS)


def sample_dialogue(
    rng: np.random.Generator, split: Split = "train", task: str | None = None, draw: Draw = draw_content
) -> Dialogue:
    """Draw a dialogue.

    Args:
        split: ``test`` uses only phrasings and contents that ``train`` never does.
        task: what its last turn is, one of :data:`TASKS`; ``dialogue`` is a conversation of 3 to 7 turns of all kinds.
            None draws the task too. Or one of :data:`.exercises.EXERCISES`, which are never drawn.
        draw: where contents that are talked about come from; they must be of the split.

    Raises:
        ConfigError: there is no such task.
    """
    if task is not None and task not in (*TASKS, *EXERCISES):
        raise ConfigError(unknown("Task", task, (*TASKS, *EXERCISES)))
    talk = Talk(rng, split, draw_from=draw)
    if task in EXERCISES:
        return Dialogue(EXERCISES[task](talk).turns)
    if task == "dialogue" or (task is None and talk.chance(DIALOGUE_SHARE)):
        return Dialogue(_conversation(talk).turns)
    return Dialogue(_single(talk, task or _draw(talk, MOVES)).turns)


def _single(talk: Talk, task: str) -> Talk:
    """A talk that ends in a turn of ``task``, often after a turn that leads to it."""
    while True:
        led = _led(talk, task)
        turn = MOVES[task][0](led)
        if turn is not None and turn.task == task:
            return led.after(turn)


def _led(talk: Talk, task: str) -> Talk:
    """``talk`` with what may come before ``task``: a medium to talk about, or facts to refer to."""
    if not talk.chance(LEAD_SHARE):
        return talk
    if task in ("indirect_image", "indirect_audio"):
        return _informed(talk, task)
    modality = {"question": talk.choose(MEDIA), "link": talk.choose(MEDIA)}.get(task) or _MADE_BY.get(task)
    lead = request(talk, modality) if modality else None
    return talk.after(lead) if lead else talk


def _informed(talk: Talk, task: str) -> Talk:
    """Facts about one or two kinds of objects of different categories."""
    categories = talk.rng.permutation(["animal", "food", "vehicle"]).tolist()[: int(talk.rng.integers(1, 3))]
    if task == "indirect_audio":
        categories[0] = "instrument"
    for index in talk.rng.permutation(len(categories)).tolist():
        talk = talk.after(fact(talk, categories[index]))
    return talk


def _conversation(talk: Talk) -> Talk:
    """A talk of several turns that follow on one another, or change the subject."""
    length = talk.choose(TURNS)
    if talk.chance(GREETING_SHARE):
        talk = talk.after(small_talk(talk, GREETING))
    while len(talk.turns) < length - 1:
        talk = talk.after(_next(talk))
    return talk.after(small_talk(talk, FAREWELL) if talk.chance(FAREWELL_SHARE) else _next(talk))


def _next(talk: Talk) -> Turn:
    """Any turn that can follow."""
    if talk.turns and talk.turns[-1].made and talk.chance(THANKS_SHARE):
        return small_talk(talk, talk.choose((THANKS, PRAISE)))
    while True:
        follows = bool(talk.media) and talk.chance(FOLLOWING_SHARE)
        moves = _following(talk) if follows else MOVES
        turn = moves[_draw(talk, moves)][0](talk)
        if turn is not None:
            return turn


def _following(talk: Talk) -> dict[str, tuple[Move, float]]:
    """Moves about the medium that was shown last, or about what was talked about."""
    modality = talk.media[-1].modality
    moves: dict[str, tuple[Move, float]] = {
        "edit": (partial(edit, modality=modality), 2.0),
        "question": (partial(question, modality=modality), 1.5),
        "description": (partial(description, modality=modality), 0.5),
        "link": (link, 0.8),
    }
    if any(turn.topic for turn in talk.turns):
        moves |= {name: MOVES[name] for name in ("indirect_image", "indirect_audio")}
    return moves


def _draw(talk: Talk, moves: Mapping[str, tuple[Move, float]]) -> str:
    """The name of one of ``moves``, by weight."""
    names = tuple(moves)
    weights = np.array([moves[name][1] for name in names])
    position = np.searchsorted(weights.cumsum(), talk.rng.random() * weights.sum(), side="right")
    return names[int(position)]
