"""Dialogues in the words of authors: single turns, and conversations of up to five turns."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Protocol

import numpy as np

from nextgpt.errors import ConfigError, unknown_name_message
from nextgpt.miniworld.language.dialogue_state import DialogueState, SpecSource, sample_spec
from nextgpt.miniworld.language.phrasings import (
    bare,
    conversation,
    edits,
    follow_ups,
    out_of_domain,
    questions,
    requests,
    written,
)
from nextgpt.miniworld.language.phrasings.author import Author
from nextgpt.miniworld.language.phrasings.several_objects import several_objects
from nextgpt.miniworld.language.phrasings.state import PhrasedState
from nextgpt.miniworld.language.types import Dialogue, DialogueTurn
from nextgpt.miniworld.specs import MediaSpec

TurnSampler = Callable[[PhrasedState], DialogueTurn | None]
_MEDIA = ("image", "image", "image", "audio", "audio", "video")


class _ModalitySampler(Protocol):
    def __call__(
        self, state: PhrasedState, spec: MediaSpec, modality: str, *, given: MediaSpec | None
    ) -> DialogueTurn | None: ...


class _LinkSampler(Protocol):
    def __call__(self, state: PhrasedState, spec: MediaSpec, *, given: MediaSpec | None) -> DialogueTurn | None: ...


def _about_given(state: PhrasedState, sample: _ModalitySampler) -> DialogueTurn | None:
    modality = state.choice(_MEDIA)
    spec = state.sample(modality)
    return sample(state, spec, modality, given=spec)


def _about_last(state: PhrasedState, sample: _ModalitySampler) -> DialogueTurn | None:
    if not state.media:
        return None
    last = state.media[-1]
    return sample(state, last.spec, last.modality, given=None)


def _link_to_given(state: PhrasedState) -> DialogueTurn | None:
    link = state.choice((follow_ups.animate, follow_ups.hear_it, follow_ups.see_it))
    spec = state.sample("audio" if link is follow_ups.see_it else "image")
    return link(state, spec, given=spec)


def _link_to_last(state: PhrasedState, link: _LinkSampler) -> DialogueTurn | None:
    return link(state, state.media[-1].spec, given=None) if state.media else None


OPENINGS: dict[str, tuple[TurnSampler, float]] = {
    "text_to_image": (requests.request_image, 6.0),
    "text_to_audio": (requests.request_audio, 3.6),
    "speech": (requests.request_speech, 0.5),
    "text_to_video": (requests.request_video, 3.6),
    "text_to_several": (requests.request_several, 3.2),
    "question_given": (partial(_about_given, sample=questions.question), 2.6),
    "edit_given": (partial(_about_given, sample=edits.edit), 2.2),
    "link_given": (_link_to_given, 0.6),
    "out_of_domain": (out_of_domain.request_unknown, 0.9),
    "small_talk": (conversation.small_talk, 1.0),
    "missing": (conversation.missing, 0.25),
    "general": (conversation.general, 0.0),
    "bare": (bare.request_bare, 0.0),
    "written": (written.request, 0.0),
    "written_out_of_domain": (written.out_of_domain, 0.0),
    "written_small_talk": (written.small_talk, 0.0),
    "written_general": (written.general, 0.0),
    "written_answered": (written.answered, 0.0),
    "written_edit_given": (written.edit_given, 0.0),
    "written_question_given": (written.question_given, 0.0),
}
"""Turns that can stand alone, with their weights; those of weight 0 are sampled by their name alone."""
FOLLOW_UPS: dict[str, tuple[TurnSampler, float]] = {
    "edit": (partial(_about_last, sample=edits.edit), 6.5),
    "edit_earlier": (edits.edit_earlier, 0.8),
    "question": (partial(_about_last, sample=questions.question), 3.0),
    "animate": (partial(_link_to_last, link=follow_ups.animate), 1.8),
    "hear_it": (partial(_link_to_last, link=follow_ups.hear_it), 4.0),
    "see_it": (partial(_link_to_last, link=follow_ups.see_it), 1.6),
    "still": (partial(_link_to_last, link=follow_ups.still), 0.7),
    "again": (follow_ups.again, 0.7),
    "undo": (follow_ups.undo, 3.0),
    "recall": (conversation.recall, 1.0),
    "small_talk": (conversation.small_talk, 0.6),
    "general": (conversation.general, 0.5),
}
"""Turns that follow on a dialogue, with their weights."""
_LEAD_INS: dict[str, tuple[str, ...]] = {
    "still": ("text_to_video",),
    "see_it": ("text_to_audio",),
    "animate": ("text_to_image",),
    "hear_it": ("text_to_image",),
    "edit_earlier": ("text_to_image",),
}
"""Openings of follow-ups that need a certain modality."""
FOLLOW_UP_RATE = 0.78
"""Probability that a later turn is about what was before."""
MIXED_RATE = 0.4
"""Probability that one author's templates are filled with another one's words."""
FREE_FORM_RATE = 0.3
LENGTHS = (1, 2, 3, 4, 5)
LENGTH_SHARES = (0.42, 0.25, 0.17, 0.1, 0.06)
MAX_TURN_TRIES = 20
CONVERSATIONS = ("dialogue", "several_objects", "written_dialogue")
PHRASED_TASKS = (*OPENINGS, *FOLLOW_UPS, *CONVERSATIONS)
"""Tasks of :func:`sample_phrased_dialogue`: that of the last turn, or a conversation."""


def sample_phrased_dialogue(
    rng: np.random.Generator,
    authors: Sequence[Author],
    task: str | None = None,
    *,
    spec_source: SpecSource = sample_spec,
    any_split: bool = False,
    free_form_rate: float = FREE_FORM_RATE,
) -> Dialogue:
    """Sample a dialogue in the words of one of ``authors``.

    Args:
        task: Task of the last turn, one of :data:`PHRASED_TASKS`; ``dialogue`` is a conversation of 2 to 5 turns,
            ``several_objects`` one of requests for images of two or three objects, ``written_dialogue`` one that a
            training author wrote as a whole (:mod:`.written`), like all tasks whose names begin so. None samples
            openings and conversations from templates.
        spec_source: Source of given media; they must be of the training split.
        any_split: Sample specs of both splits. For evaluation only.
        free_form_rate: Probability that a request for media is of free form (:mod:`.free_form`).

    Raises:
        ConfigError: The task is unknown.
    """
    if task is not None and task not in PHRASED_TASKS:
        raise ConfigError(unknown_name_message("task", task, PHRASED_TASKS))
    while True:
        author = _sample_author(rng, authors)
        state = PhrasedState(
            rng, "train", spec_source=spec_source, author=author, any_split=any_split, free_form_rate=free_form_rate
        )
        dialogue = _sample_task(state, task)
        if dialogue is not None:
            return Dialogue(dialogue.turns)


def _sample_author(rng: np.random.Generator, authors: Sequence[Author]) -> Author:
    """Sample an author, at times with the everyday words of another one."""
    author, other = (authors[int(rng.integers(len(authors)))] for _ in range(2))
    return author.model_copy(update={"synonyms": other.synonyms}) if rng.random() < MIXED_RATE else author


def _sample_task(state: PhrasedState, task: str | None) -> DialogueState | None:
    if task == "written_dialogue":
        return written.dialogue(state)
    if task == "several_objects":
        return several_objects(state)
    return _conversation(state, task) if task in (None, "dialogue") else _ending_in(state, task)


def _ending_in(state: PhrasedState, task: str) -> DialogueState | None:
    """Sample a dialogue whose last turn is of ``task``, with the turns before that it needs."""
    if task in OPENINGS:
        turn = OPENINGS[task][0](state)
        return state.with_turn(turn) if turn else None
    names = _LEAD_INS.get(task, ("text_to_image", "text_to_audio", "text_to_video"))
    steps = [{name: OPENINGS[name] for name in names}]
    steps += [{"edit": FOLLOW_UPS["edit"]}] if task == "undo" else []
    steps += [{"text_to_audio": OPENINGS["text_to_audio"]}] if task == "edit_earlier" else []
    for samplers in steps:
        following = _append_one_of(state, samplers)
        if following is None:
            return None
        state = following
    # One try: with more, a follow-up that most media rule out would be about the few that have a rare answer.
    turn = FOLLOW_UPS[task][0](state)
    return state.with_turn(turn) if turn else None


def _conversation(state: PhrasedState, task: str | None) -> PhrasedState | None:
    shares = np.array(LENGTH_SHARES)
    if task == "dialogue":
        shares[0] = 0
    length = LENGTHS[_weighted_index(state.rng, shares)]
    while len(state.turns) < length:
        is_follow_up = bool(state.turns) and state.bernoulli(FOLLOW_UP_RATE)
        following = _append_one_of(state, FOLLOW_UPS if is_follow_up else OPENINGS)
        if following is None:
            return None
        state = following
    return state


def _append_one_of(state: PhrasedState, samplers: Mapping[str, tuple[TurnSampler, float]]) -> PhrasedState | None:
    """Append a turn of one of ``samplers``, by weight."""
    names = [name for name, (_, weight) in samplers.items() if weight > 0] or list(samplers)
    weights = np.array([samplers[name][1] or 1.0 for name in names])
    for _ in range(MAX_TURN_TRIES):
        turn = samplers[names[_weighted_index(state.rng, weights)]][0](state)
        if turn is not None:
            return state.with_turn(turn)
    return None


def _weighted_index(rng: np.random.Generator, weights: np.ndarray) -> int:
    return int(np.searchsorted(weights.cumsum(), rng.random() * weights.sum(), side="right"))
