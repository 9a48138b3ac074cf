"""Dialogue sampler: single tasks, and conversations of several turns that mix all tasks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

import numpy as np

from nextgpt.errors import ConfigError, unknown_name_message
from nextgpt.miniworld.language.cross_modal import cross_modal_request
from nextgpt.miniworld.language.dense_dialogues import DENSE_TASKS
from nextgpt.miniworld.language.dialogue_state import BRIEF_SHARE, MEDIUM_NOUNS, DialogueState, SpecSource, sample_spec
from nextgpt.miniworld.language.edit_templates import edit
from nextgpt.miniworld.language.facts import fact_question, fact_request
from nextgpt.miniworld.language.indirect_requests import indirect_request
from nextgpt.miniworld.language.media_questions import description, question
from nextgpt.miniworld.language.missing_context import missing_context
from nextgpt.miniworld.language.out_of_domain import out_of_domain
from nextgpt.miniworld.language.phrasings import load_authors, sample_phrased_dialogue
from nextgpt.miniworld.language.requests import request, request_several
from nextgpt.miniworld.language.smalltalk import small_talk
from nextgpt.miniworld.language.types import Dialogue, DialogueTurn
from nextgpt.miniworld.splits import Split

TurnSampler = Callable[[DialogueState], DialogueTurn | None]
TASK_SAMPLERS: dict[str, tuple[TurnSampler, float]] = {
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
    "link": (cross_modal_request, 1.0),
    "facts": (fact_question, 0.7),
    "indirect_image": (partial(indirect_request, modality="image"), 0.8),
    "indirect_audio": (partial(indirect_request, modality="audio"), 0.6),
    "small_talk": (small_talk, 0.6),
    "outside": (out_of_domain, 1.2),
    "missing": (missing_context, 0.4),
}
"""Turn sampler and weight of each task."""
TASKS = (*TASK_SAMPLERS, "dialogue")
"""Tasks that :func:`sample_dialogue` accepts."""
ANY_TASK = "any"
"""Task name for a dialogue sampled from all tasks of the small world; the same as None."""
PHRASED_TASK = "phrased"
"""Task name for dialogues in the words of training authors; see :mod:`.phrasings`. ``phrased.<task>`` samples dialogues
that end in a turn of ``<task>``, one of :data:`.phrasings.PHRASED_TASKS`."""
RENAMED_TASKS = {"interview": "many_questions", "editing": "many_edits", "describing": "many_descriptions"}
"""Current name of each renamed task."""
DIALOGUE_SHARE = 0.4
"""Fraction of conversations among all dialogues."""
TURN_COUNTS = (3, 4, 5, 6, 7)
FOLLOW_UP_SHARE = 0.55
"""Probability that a turn of a conversation is about an earlier medium, if there is one."""
LEAD_IN_SHARE = 0.5
"""Probability that a single task starts with a turn that provides its medium or facts."""
_LEAD_IN_MODALITY = {
    "edit_image": "image", "edit_audio": "audio", "edit_video": "video",
    "image_to_text": "image", "audio_to_text": "audio", "video_to_text": "video",
}  # fmt: skip
GREETING_SHARE, FAREWELL_SHARE, THANKS_SHARE = 0.2, 0.12, 0.08
MEDIA = tuple(MEDIUM_NOUNS)


def sample_dialogue(
    rng: np.random.Generator,
    split: Split = "train",
    task: str | None = None,
    spec_source: SpecSource = sample_spec,
    brief_share: float = BRIEF_SHARE,
) -> Dialogue:
    """Sample a dialogue.

    Args:
        split: ``test`` uses templates and specs that ``train`` never uses.
        task: Task of the last turn, one of :data:`TASKS`; ``dialogue`` is a conversation of 3 to 7 turns of all tasks.
            None samples the task. :data:`.dense_dialogues.DENSE_TASKS` and :data:`PHRASED_TASK` are accepted, but
            never sampled.
        spec_source: Source of the specs that are asked about; they must belong to the split.
        brief_share: Probability that an answer does not describe its media; :data:`PHRASED_TASK` always does.

    Raises:
        ConfigError: Unknown task, or :data:`PHRASED_TASK` with the split ``test``.
    """
    group, _, phrased_task = (task or ANY_TASK).partition(".")
    if group == PHRASED_TASK:
        if split != "train":
            raise ConfigError(f"Task {task!r} has no split {split!r}; expected 'train'. Use the suite people.")
        return sample_phrased_dialogue(rng, load_authors("train"), phrased_task or None, spec_source=spec_source)
    task = None if task == ANY_TASK else task
    if task is not None and task not in (*TASKS, *DENSE_TASKS):
        if task in RENAMED_TASKS:
            raise ConfigError(f"Task {task!r} was renamed; expected {RENAMED_TASKS[task]!r}. Rename it.")
        known = (ANY_TASK, PHRASED_TASK, *TASKS, *DENSE_TASKS)
        raise ConfigError(unknown_name_message("Task", task, known))
    state = DialogueState(rng, split, spec_source=spec_source, brief_share=brief_share)
    if task in DENSE_TASKS:
        return Dialogue(DENSE_TASKS[task](state).turns)
    if task == "dialogue" or (task is None and state.bernoulli(DIALOGUE_SHARE)):
        return Dialogue(_conversation(state).turns)
    return Dialogue(_single_task(state, task or _sample_task(state, TASK_SAMPLERS)).turns)


def _single_task(state: DialogueState, task: str) -> DialogueState:
    """Sample a dialogue that ends in a turn of ``task``, often after a lead-in."""
    while True:
        context = _with_lead_in(state, task)
        turn = TASK_SAMPLERS[task][0](context)
        if turn is not None and turn.task == task:
            return context.with_turn(turn)


def _with_lead_in(state: DialogueState, task: str) -> DialogueState:
    """Add a turn before ``task`` in half of all cases: a medium to ask about, or facts to refer to."""
    if not state.bernoulli(LEAD_IN_SHARE):
        return state
    if task in ("indirect_image", "indirect_audio"):
        return _with_facts(state, task)
    modality = {"question": state.choice(MEDIA), "link": state.choice(MEDIA)}.get(task) or _LEAD_IN_MODALITY.get(task)
    lead_in = request(state, modality) if modality else None
    return state.with_turn(lead_in) if lead_in else state


def _with_facts(state: DialogueState, task: str) -> DialogueState:
    """Add facts about one or two kinds of objects of different categories."""
    categories = state.rng.permutation(["animal", "food", "vehicle"]).tolist()[: int(state.rng.integers(1, 3))]
    if task == "indirect_audio":
        categories[0] = "instrument"
    for index in state.rng.permutation(len(categories)).tolist():
        state = state.with_turn(fact_request(state, categories[index]))
    return state


def _conversation(state: DialogueState) -> DialogueState:
    """Sample several turns that follow up on one another or change the subject."""
    length = state.choice(TURN_COUNTS)
    if state.bernoulli(GREETING_SHARE):
        state = state.with_turn(small_talk(state, "greeting"))
    while len(state.turns) < length - 1:
        state = state.with_turn(_next_turn(state))
    return state.with_turn(small_talk(state, "farewell") if state.bernoulli(FAREWELL_SHARE) else _next_turn(state))


def _next_turn(state: DialogueState) -> DialogueTurn:
    """Sample any turn that can follow."""
    if state.turns and state.turns[-1].target_media and state.bernoulli(THANKS_SHARE):
        return small_talk(state, state.choice(("thanks", "praise")))
    while True:
        is_follow_up = bool(state.media) and state.bernoulli(FOLLOW_UP_SHARE)
        samplers = _follow_ups(state) if is_follow_up else TASK_SAMPLERS
        turn = samplers[_sample_task(state, samplers)][0](state)
        if turn is not None:
            return turn


def _follow_ups(state: DialogueState) -> dict[str, tuple[TurnSampler, float]]:
    """Return samplers of turns about the last medium or about the topics so far."""
    modality = state.media[-1].modality
    samplers: dict[str, tuple[TurnSampler, float]] = {
        "edit": (partial(edit, modality=modality), 2.0),
        "question": (partial(question, modality=modality), 1.5),
        "description": (partial(description, modality=modality), 0.5),
        "link": (cross_modal_request, 0.8),
    }
    if any(turn.topic for turn in state.turns):
        samplers |= {name: TASK_SAMPLERS[name] for name in ("indirect_image", "indirect_audio")}
    return samplers


def _sample_task(state: DialogueState, samplers: Mapping[str, tuple[TurnSampler, float]]) -> str:
    """Sample a name from ``samplers`` by weight."""
    names = tuple(samplers)
    weights = np.array([samplers[name][1] for name in names])
    position = np.searchsorted(weights.cumsum(), state.rng.random() * weights.sum(), side="right")
    return names[int(position)]
