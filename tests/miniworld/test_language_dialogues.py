"""Dialogues are deterministic, keep the splits apart, and their answers follow from what was said, shown and played."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from functools import cache
from importlib import resources
from itertools import pairwise

import numpy as np
import pytest

from nextgpt.errors import ConfigError
from nextgpt.miniworld.language import TASKS, Dialogue, DialogueTurn, MediaPart, attributes, sample_dialogue
from nextgpt.miniworld.language.dense_dialogues import COMPARING_QUESTIONS, DENSE_TASKS
from nextgpt.miniworld.language.description_parser import parse_descriptions
from nextgpt.miniworld.language.dialogue_state import sample_spec
from nextgpt.miniworld.language.facts import riddle_answers
from nextgpt.miniworld.language.out_of_domain import UNKNOWN
from nextgpt.miniworld.language.question_templates import QUESTION_TEMPLATES
from nextgpt.miniworld.language.templates import TemplateSet, all_expansions, expand_template, load_templates
from nextgpt.miniworld.language.types import difference
from nextgpt.miniworld.objects import OBJECTS
from nextgpt.miniworld.specs import SOURCES, ObjectSpec, SceneSpec
from nextgpt.miniworld.splits import is_held_out

SPLITS = ("train", "test")
SEVERAL = 25
"""Dialogues a task and split."""


@cache
def dialogues(split: str, task: str) -> tuple[Dialogue, ...]:
    rng = np.random.default_rng(7)
    return tuple(sample_dialogue(rng, split, task) for _ in range(SEVERAL))


def turns(*tasks: str) -> Iterator[tuple[Dialogue, int, DialogueTurn]]:
    """All turns of dialogues of ``tasks``, or of all, with their dialogue and position."""
    for split in SPLITS:
        for task in tasks or TASKS:
            for dialogue in dialogues(split, task):
                for position, turn in enumerate(dialogue.turns):
                    yield dialogue, position, turn


@cache
def all_templates() -> dict[str, dict[str, TemplateSet]]:
    """All template sets by section and name."""
    sections = json.loads((resources.files("nextgpt.miniworld") / "assets" / "templates.json").read_text())
    return {section: load_templates(section) for section in sections}


def plain(variant: str) -> str:
    """A variant without the names of its values and without what people leave out."""
    return re.sub(r"\{\w+\}", "{}", variant).strip(" .?!").lower()


def words_of(patterns: tuple[str, ...]) -> set[str]:
    said = " ".join(variant for pattern in patterns for variant in all_expansions(pattern))
    return set(re.findall(r"[a-z']+", re.sub(r"\{\w+\}", " ", said).lower()))


def test_no_phrasing_of_the_tests_is_ever_used_in_training():
    everything = [templates for section in all_templates().values() for templates in section.values()]
    trained = {plain(variant) for found in everything for p in found.train for variant in all_expansions(p)}
    held_out = {plain(variant) for found in everything for p in found.held_out for variant in all_expansions(p)}
    assert not trained & held_out
    # Without the lists of unknown words, which are no templates and have many more words of training.
    templates = [found for section, sets in all_templates().items() if section != "unknown" for found in sets.values()]
    assert 0.15 < sum(len(b.held_out) for b in templates) / sum(len(b.held_out + b.train) for b in templates) < 0.4


def test_phrasings_of_the_tests_use_words_that_training_knows_except_for_what_is_unknown():
    known = [
        templates for section, named in all_templates().items() if section != "unknown" for templates in named.values()
    ]
    trained = set().union(*[words_of(templates.train) for templates in known])
    held_out = set().union(*[words_of(templates.held_out) for templates in known])
    assert held_out <= trained


def test_unknown_things_are_unknown():
    known = {words for kind in OBJECTS.values() for words in (kind.name, *kind.synonyms)} | set(SOURCES)
    for name in ("things", "sounds"):
        templates = UNKNOWN[name]
        assert not known & set(templates.train + templates.held_out)


def test_alternatives_of_a_pattern_are_all_chosen():
    rng = np.random.default_rng(0)
    chosen = {expand_template(rng, "[please |]draw {what}[ for me|, please|].") for _ in range(100)}
    assert chosen == set(all_expansions("[please |]draw {what}[ for me|, please|]."))
    assert len(chosen) == 6


@pytest.mark.parametrize("task", [*TASKS, *DENSE_TASKS, None])
def test_the_same_seed_gives_the_same_dialogues(task: str | None):
    first, second = (np.random.default_rng(3) for _ in range(2))
    for _ in range(5):
        assert sample_dialogue(first, "train", task) == sample_dialogue(second, "train", task)


@pytest.mark.parametrize("split", SPLITS)
@pytest.mark.parametrize("task", TASKS[:-1])
def test_a_dialogue_of_a_task_ends_in_it(task: str, split: str):
    assert {dialogue.turns[-1].task for dialogue in dialogues(split, task)} == {task}


@pytest.mark.parametrize("split", SPLITS)
def test_conversations_have_three_to_seven_turns_of_many_kinds(split: str):
    lengths = {len(dialogue.turns) for dialogue in dialogues(split, "dialogue")}
    assert lengths == {3, 4, 5, 6, 7}
    assert len({turn.task for dialogue in dialogues(split, "dialogue") for turn in dialogue.turns}) > 12


def test_every_task_is_drawn():
    rng = np.random.default_rng(5)
    drawn = {turn.task for _ in range(200) for turn in sample_dialogue(rng).turns}
    assert drawn == set(TASKS) - {"dialogue"}


def test_an_old_task_name_is_an_error_that_names_the_new_one():
    with pytest.raises(ConfigError, match="'interview' was renamed; expected 'many_questions'"):
        sample_dialogue(np.random.default_rng(0), task="interview")


def test_an_interview_asks_about_what_was_given_at_first_and_answers_both_ways():
    rng = np.random.default_rng(7)
    found = [sample_dialogue(rng, "train", "many_questions") for _ in range(200)]
    assert {len(dialogue.turns) for dialogue in found} == {4, 5, 6, 7, 8}
    assert all(dialogue.turns[0].input_media and not t.input_media for dialogue in found for t in dialogue.turns[1:])
    answers = [turn.assistant[0] for dialogue in found for turn in dialogue.turns]
    for sides in (("Yes,", "No,"), ("The first", "The second")):
        some = [answer for answer in answers if isinstance(answer, str) and answer.startswith(sides)]
        assert 0.3 < sum(answer.startswith(sides[0]) for answer in some) / len(some) < 0.7
    assert sum(isinstance(a, str) and a.startswith(("Yes,", "No,")) for a in answers) > 0.3 * len(answers)


def test_what_is_answered_by_comparing_can_be_asked():
    assert set(COMPARING_QUESTIONS) <= {row.ask for row in QUESTION_TEMPLATES}


def test_edits_in_a_row_go_on_from_one_another():
    for dialogue in dialogues("train", "many_edits"):
        assert dialogue.turns[0].input_media and all(turn.changed_attributes for turn in dialogue.turns)
        for before, turn in pairwise(dialogue.turns):
            if not turn.input_media:
                assert difference(before.target_media[-1].spec, turn.target_media[-1].spec) == turn.changed_attributes


@pytest.mark.parametrize(("task", "can_be_alike"), [("many_edits", False), ("many_descriptions", True)])
def test_pictures_in_a_row_show_several_objects(task: str, can_be_alike: bool):
    given = [shown.spec for dialogue in dialogues("train", task) for t in dialogue.turns for shown in t.input_media]
    scenes = [spec.objects for spec in given if isinstance(spec, SceneSpec)]
    assert scenes and all(len(objects) > 1 for objects in scenes)
    assert any(len({obj.object for obj in objects}) == 1 for objects in scenes) == can_be_alike


@pytest.mark.parametrize("task", ["many_edits", "many_descriptions"])
def test_where_no_picture_has_several_objects_the_exercises_say_so(task: str):
    def draw(rng, modality: str, split: str):
        return SceneSpec((ObjectSpec("cat"),)) if modality == "image" else sample_spec(rng, modality, split)

    with pytest.raises(ConfigError, match="sampled images has several objects"):
        for seed in range(20):  # one in three edits in a row is of something else
            sample_dialogue(np.random.default_rng(seed), "train", task, draw)


def test_every_picture_that_is_described_in_a_row_is_a_new_one():
    for dialogue in dialogues("train", "many_descriptions"):
        assert len(dialogue.turns) > 2 and all(turn.input_media for turn in dialogue.turns)


def test_an_unknown_task_is_refused_with_the_nearest_name():
    with pytest.raises(ConfigError, match="text_to_image"):
        sample_dialogue(np.random.default_rng(0), "train", "text_to_imag")


def test_training_shows_nothing_that_is_held_out():
    shown = [
        s
        for task in (*TASKS, *DENSE_TASKS)
        for d in dialogues("train", task)
        for t in d.turns
        for s in (*t.input_media, *t.target_media)
    ]
    assert not any(is_held_out(each.spec) for each in shown)


def test_tests_show_only_what_is_held_out():
    # But for pictures and sounds of one thing that are asked for together, of which one is.
    for task in TASKS:
        for dialogue in dialogues("test", task):
            for turn in dialogue.turns:
                assert all(is_held_out(shown.spec) for shown in turn.input_media)
                held_out = [is_held_out(shown.spec) for shown in turn.target_media]
                assert any(held_out) if turn.task == "text_to_several" else all(held_out)


def test_answers_describe_just_what_they_show():
    for _, _, turn in turns():
        text = " ".join(say for say in turn.assistant if isinstance(say, str))
        described = parse_descriptions(text)
        if described and turn.target_media:
            assert described == tuple(shown.spec for shown in turn.target_media), text


def test_most_answers_with_media_say_what_they_show():
    made = [turn for _, _, turn in turns("text_to_image", "edit_audio") if turn.target_media]
    brief = [turn for turn in made if turn.assistant[0] == "Here you are."]
    assert 0.1 < len(brief) / len(made) < 0.45


def test_right_answers_say_their_key_words_and_wrong_ones_do_not():
    for _, _, turn in turns():
        text = " ".join(say for say in turn.assistant if isinstance(say, str))
        assert turn.contains_key_words(text)
        assert not turn.key_words or not turn.contains_key_words("Well, perhaps.")


@pytest.mark.parametrize("task", [task for task in TASKS if task.startswith("edit")])
def test_edits_change_what_they_say_and_keep_the_rest(task: str):
    for dialogue, position, turn in turns(task):
        if turn.task != task:
            continue
        (made,) = turn.target_media
        earlier = [s for t in dialogue.turns[:position] for s in (*t.input_media, *t.target_media)] + list(
            turn.input_media
        )
        before = next(s.spec for s in reversed(earlier) if s.modality == made.modality)
        old, new = attributes(before), attributes(made.spec)
        assert made.is_edit
        assert turn.changed_attributes
        assert all(old[name] != new[name] for name in turn.changed_attributes)
        assert all(old.get(name, new[name]) == new[name] for name in turn.preserved_attributes)


def test_only_edits_are_made_from_what_was_there():
    for _, _, turn in turns():
        assert {shown.is_edit for shown in turn.target_media} <= {turn.task.startswith("edit")}


@pytest.mark.parametrize(
    ("task", "modalities"),
    [("text_to_image", {("image",)}), ("indirect_audio", {("audio",)}), ("outside", {()}), ("question", {()})],
)
def test_the_answer_has_the_modalities_of_its_task(task: str, modalities: set[tuple[str, ...]]):
    assert {turn.modalities for _, _, turn in turns(task) if turn.task == task} == modalities


def test_questions_and_edits_have_something_that_they_are_about():
    for dialogue, position, turn in turns():
        if turn.task in ("question", "link") or turn.task.startswith("edit"):
            assert turn.input_media or any(t.input_media or t.target_media for t in dialogue.turns[:position])


def test_what_is_outside_is_answered_with_the_true_number_of_things():
    answers = {say for _, _, turn in turns("outside") for say in turn.assistant if turn.task == "outside"}
    assert any(f"I can draw {len(OBJECTS)} things" in str(answer) for answer in answers)
    assert any(f"I can play {len(SOURCES)} sounds" in str(answer) for answer in answers)


def test_riddles_have_one_answer():
    told = [fact for kind in OBJECTS.values() for fact in kind.facts]
    for does in riddle_answers():
        assert sum(fact.endswith(f" {does}.") for fact in told) == 1, does


def test_words_are_tidy():
    for _, _, turn in turns():
        for say in (*turn.user, *turn.assistant):
            if isinstance(say, MediaPart):
                continue
            assert say == say.strip() and say and "  " not in say, say
            assert not re.search(r"[{}\[\]|]| [.,?]|[.,?]{2}", say), say
            assert not re.search(r"\b[Aa] [aeio]|\b[Aa]n [^aeiou]", say), say


def test_answers_use_few_words():
    said = " ".join(say for _, _, turn in turns() for say in turn.assistant if isinstance(say, str))
    assert len(set(re.findall(r"[a-z0-9]+", said.lower()))) < 900


def test_nothing_that_a_person_says_in_tests_is_said_in_training():
    said = {
        split: {
            say.strip(" .?!").lower()
            for t in TASKS
            for d in dialogues(split, t)
            for turn in d.turns
            for say in turn.user
            if isinstance(say, str)
        }
        for split in SPLITS
    }
    assert len(said["test"]) > 500
    assert not said["train"] & said["test"]
