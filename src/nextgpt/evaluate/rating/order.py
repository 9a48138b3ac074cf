"""Order of a rater's tasks: a function of the study's seed and the rater's index.

Systems rotate over items in a Latin square: in each round a rater sees every item once, with another system than in the
rounds before, and consecutive raters begin with other systems. So all (item, system) cells are rated about equally
often wherever raters stop.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations

from nextgpt.annotation.pages import opaque_id
from nextgpt.evaluate.rating.study import Shown, Study, Task, TaskKind

NUM_REPEATS = 2
MIN_TASKS_WITH_PLANTED = 6
"""Main tasks below which nothing is planted: a repeat soon after its original measures memory."""

Draft = tuple[TaskKind, str, tuple[Shown, ...]]


def session_tasks(study: Study, prompts: Mapping[str, str], with_truth: Sequence[str], rater: int) -> tuple[Task, ...]:
    """Return the tasks of a rater in order.

    Args:
        prompts: Prompt of each item; a shuffled answer belongs to an item with another prompt.
        with_truth: Items with a true answer.
        rater: Index of the rater, from 0.
    """
    rng = random.Random(f"{study.seed}/{rater}")
    control = _control(study, prompts, with_truth, rng)
    main = list(_main(study, rater, rng))
    num_planted = NUM_REPEATS + len(control)
    if min(len(main), study.per_rater - num_planted) >= MIN_TASKS_WITH_PLANTED:
        drafts = _plant(main[: study.per_rater - num_planted], control, rng)
    else:
        drafts = main[: study.per_rater]
    return tuple(
        Task(id=opaque_id(study.secret, rater, position), kind=kind, item=item, shown=shown)
        for position, (kind, item, shown) in enumerate(drafts)
    )


def _main(study: Study, rater: int, rng: random.Random) -> Iterator[Draft]:
    size = 1 if study.mode == "scores" else 2
    conditions = list(combinations(study.systems, size))
    random.Random(study.seed).shuffle(conditions)
    for turn in range(len(conditions)):
        for index in rng.sample(range(len(study.items)), len(study.items)):
            item = study.items[index]
            systems = list(conditions[(index + rater + turn) % len(conditions)])
            rng.shuffle(systems)  # sides
            yield "main", item, tuple(Shown(source="system", system=system, item=item) for system in systems)


def _control(
    study: Study, prompts: Mapping[str, str], with_truth: Sequence[str], rng: random.Random
) -> list[tuple[str, tuple[Shown, ...]]]:
    """Return the control's item and pages: a true answer and one to another prompt, on one page or on two."""
    item = rng.choice(list(with_truth) or list(study.items))
    others = [other for other in study.items if prompts[other] != prompts[item]]
    if not others:
        return []
    shuffled = Shown(source="shuffled", system=rng.choice(list(study.systems)), item=rng.choice(others))
    if not with_truth:
        return [] if study.mode == "pairs" else [(item, (shuffled,))]
    pair = [Shown(source="true", item=item), shuffled]
    rng.shuffle(pair)
    return [(item, tuple(pair))] if study.mode == "pairs" else [(item, (shown,)) for shown in pair]


def _plant(main: list[Draft], control: list[tuple[str, tuple[Shown, ...]]], rng: random.Random) -> list[Draft]:
    """Insert repeats of early tasks near the end, with sides swapped, and the control anywhere after the start."""
    early, late = main[: len(main) // 2], main[len(main) // 2 :]
    for _, item, shown in rng.sample(early, NUM_REPEATS):
        late.insert(rng.randint(len(late) // 2, len(late)), ("repeat", item, shown[::-1]))
    drafts = early + late
    for item, shown in control:
        drafts.insert(rng.randint(2, len(drafts)), ("control", item, shown))
    return drafts
