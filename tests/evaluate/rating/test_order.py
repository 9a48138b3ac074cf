from __future__ import annotations

from collections import Counter

import pytest

from nextgpt.evaluate.rating.order import session_tasks
from nextgpt.evaluate.rating.study import Mode, Study

SYSTEMS = {"k1": "direct", "k2": "cascade", "k3": "pipeline"}
ITEMS = tuple(f"i{index}" for index in range(9))
PROMPTS = {item: f"prompt {item}" for item in ITEMS}


def study(mode: Mode = "scores", per_rater: int = 100) -> Study:
    return Study(mode=mode, seed=1, secret="s", per_rater=per_rater, runs=(), systems=SYSTEMS, items=ITEMS)


def test_the_order_is_a_function_of_seed_and_rater():
    tasks = session_tasks(study(), PROMPTS, ITEMS, 0)
    assert tasks == session_tasks(study(), PROMPTS, ITEMS, 0)
    assert tasks != session_tasks(study(), PROMPTS, ITEMS, 1)
    assert len({task.id for rater in range(5) for task in session_tasks(study(), PROMPTS, ITEMS, rater)}) == 5 * 31


def test_each_round_is_a_latin_square():
    """In a round every item occurs once; over three raters each (item, system) pair occurs once per round."""
    pairs: Counter[tuple[str, str]] = Counter()
    for rater in range(3):
        main = [task for task in session_tasks(study(), PROMPTS, ITEMS, rater) if task.kind == "main"]
        assert len(main) == 27
        assert len({(task.item, task.shown[0].system) for task in main}) == 27
        for start in (0, 9, 18):
            assert sorted(task.item for task in main[start : start + 9]) == sorted(ITEMS)
            assert set(Counter(task.shown[0].system for task in main[start : start + 9]).values()) == {3}
        pairs.update((task.item, task.shown[0].system) for task in main[:9])
    assert set(pairs.values()) == {1}
    assert len(pairs) == 27


@pytest.mark.parametrize("mode", ["scores", "pairs"])
@pytest.mark.parametrize("rater", range(8))
def test_two_repeats_and_one_control_are_planted(mode: Mode, rater: int):
    tasks = session_tasks(study(mode, per_rater=20), PROMPTS, ITEMS, rater)
    assert len(tasks) == 20
    repeats = [index for index, task in enumerate(tasks) if task.kind == "repeat"]
    assert len(repeats) == 2
    for index in repeats:
        swapped = tasks[index].shown[::-1]
        original = next(at for at, task in enumerate(tasks) if task.kind == "main" and task.shown == swapped)
        assert index - original > 2
    control = [task for task in tasks if task.kind == "control"]
    assert len(control) == (2 if mode == "scores" else 1)
    shown = [one for task in control for one in task.shown]
    assert sorted(one.source for one in shown) == ["shuffled", "true"]
    for task in control:
        for one in task.shown:
            assert (one.item == task.item) == (one.source == "true")


def test_sides_are_flipped_about_half_of_the_time():
    lefts = Counter(
        task.shown[0].system < task.shown[1].system
        for rater in range(20)
        for task in session_tasks(study("pairs"), PROMPTS, ITEMS, rater)
        if task.kind == "main"
    )
    assert 0.4 < lefts[True] / lefts.total() < 0.6


def test_without_true_answers_the_control_is_a_shuffled_one():
    control = [task for task in session_tasks(study(), PROMPTS, (), 0) if task.kind == "control"]
    assert [one.source for task in control for one in task.shown] == ["shuffled"]
    assert control[0].item != control[0].shown[0].item


def test_a_short_session_has_nothing_planted():
    assert {task.kind for task in session_tasks(study(per_rater=7), PROMPTS, ITEMS, 0)} == {"main"}


def test_an_answer_to_the_same_prompt_is_never_called_shuffled():
    same = dict.fromkeys(ITEMS, "the same prompt")
    assert all(task.kind != "control" for task in session_tasks(study(), same, ITEMS, 0))
