"""The suite of people's own words: labels, what counts as right, and the rows."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from nextgpt.errors import ConfigError
from nextgpt.evaluate.miniworld import people
from nextgpt.evaluate.miniworld.cases import CaseResult, EvalCase, TurnResult
from nextgpt.evaluate.miniworld.people import People, PeopleDevelopment, judge_turn, labelled_turn
from nextgpt.evaluate.miniworld.runner import judge_results
from nextgpt.evaluate.miniworld.suite import SUITES
from nextgpt.evaluate.miniworld.systems import OracleSystem
from nextgpt.message import Reply, Text
from nextgpt.miniworld.language import Dialogue
from nextgpt.miniworld.language.phrasings import AUTHOR_SPLITS, load_authors
from nextgpt.miniworld.language.phrasings.labels import (
    AudioLabel,
    ImageLabel,
    ObjectLabel,
    TurnLabel,
    VideoLabel,
    label_of,
    read_items,
)
from nextgpt.miniworld.render import render
from nextgpt.miniworld.specs import ClipSpec, MediaSpec, ObjectSpec, SceneSpec, SoundSpec

CAT_AND_DOG = SceneSpec(
    (ObjectSpec("cat", "red", "left", "small"), ObjectSpec("dog", "natural", "right", "small")), "sea"
)


def image(*objects: ObjectLabel, background: str | None = None) -> ImageLabel:
    return ImageLabel(modality="image", objects=objects, background=background)


@pytest.mark.parametrize(
    ("label", "is_right"),
    [
        (image(ObjectLabel(object="dog"), ObjectLabel(object="cat")), True),
        (image(ObjectLabel(object="cat", tint="red"), ObjectLabel(object="dog", place="right")), True),
        (image(ObjectLabel(object="cat", tint="blue"), ObjectLabel(object="dog")), False),
        (image(ObjectLabel(object="cat", place="right"), ObjectLabel(object="dog")), False),
        (image(ObjectLabel(object="cat")), False),  # one object too many is shown
        (image(ObjectLabel(object="cat"), ObjectLabel(object="cat")), False),
        (image(background="sea"), True),
        (image(ObjectLabel(object="cat"), ObjectLabel(object="dog"), background="night"), False),
    ],
)
def test_a_picture_is_right_if_it_shows_what_was_asked(label: ImageLabel, is_right: bool):
    assert label.matches(CAT_AND_DOG) == is_right


def test_an_object_in_its_own_colour_is_natural():
    label = image(ObjectLabel(object="apple", tint="red"))
    assert label.matches(SceneSpec((ObjectSpec("apple"),))) and label.complete().objects[0].tint == "natural"


def test_attributes_that_are_left_out_are_not_judged():
    assert AudioLabel(modality="audio", source="flute").matches(SoundSpec("flute", "high", "rising", "fast"))
    assert VideoLabel(modality="video", object="dog").matches(ClipSpec("dog", "red", "sea", "spin"))
    assert not VideoLabel(modality="video", object="dog", motion="up").matches(ClipSpec("dog", motion="down"))


def test_a_medium_of_another_modality_never_matches():
    assert not image(ObjectLabel(object="cat")).matches(SoundSpec("flute"))
    assert not AudioLabel(modality="audio").matches(CAT_AND_DOG)


@pytest.mark.parametrize(
    "spec", [CAT_AND_DOG, SoundSpec("bell", "low", "rising", "fast"), ClipSpec("cat", "blue", "night", "grow")]
)
def test_the_label_of_a_content_matches_it_and_completes_to_it(spec: MediaSpec):
    label = label_of(spec)
    assert label.matches(spec) and label.complete() == spec


def test_a_default_is_asked_for_only_where_it_is_what_changed():
    cat = SceneSpec((ObjectSpec("cat"),))
    assert label_of(cat) == image(ObjectLabel(object="cat"))
    assert label_of(cat, ("tint", "background")) == image(ObjectLabel(object="cat", tint="natural"), background="white")


def answer(label: TurnLabel, text: str, *specs: MediaSpec) -> TurnResult:
    media = tuple(map(render, specs))
    return TurnResult(labelled_turn(label), Reply((Text(text), *media)), specs)


ASKED = TurnLabel(text="a red cat", want=(image(ObjectLabel(object="cat", tint="red")),), say=(("cat", "kitty"),))


def test_an_answer_needs_the_modality_the_contents_and_the_words():
    red, blue = (SceneSpec((ObjectSpec("cat", tint),)) for tint in ("red", "blue"))
    assert judge_turn("a", 0, answer(ASKED, "Here is a kitty.", red)).is_correct
    assert not judge_turn("a", 0, answer(ASKED, "Here it is.", red)).is_correct
    wrong = judge_turn("a", 0, answer(ASKED, "A cat.", blue))
    assert wrong.has_modalities and not wrong.is_correct
    assert not judge_turn("a", 0, answer(ASKED, "A cat.")).has_modalities
    assert not judge_turn("a", 0, answer(ASKED, "A cat.", SoundSpec("flute"))).has_modalities


@pytest.mark.parametrize(
    ("phrase", "text", "is_right"),
    [
        ("video", "I can make videos.", True),
        ("video", "A video.", True),
        ("video", "I like videography.", False),
        ("no", "Nos", False),
        ("legs", "It has four legss.", False),
        ("four", "Fourteen.", False),
    ],
)
def test_a_plural_says_what_its_singular_says(phrase: str, text: str, is_right: bool):
    label = TurnLabel(text="x", want=(), say=((phrase,),))
    assert judge_turn("a", 0, answer(label, text)).is_correct == is_right


def test_where_no_medium_is_wanted_a_medium_is_wrong():
    label = TurnLabel(text="hi", want=())
    assert judge_turn("a", 0, answer(label, "Hello!")).is_correct
    assert not judge_turn("a", 0, answer(label, "Hello!", CAT_AND_DOG)).is_correct


def test_several_media_must_come_in_the_order_asked():
    sound = AudioLabel(modality="audio", source="flute")
    label = TurnLabel(text="a cat and a flute", want=(image(ObjectLabel(object="cat")), sound))
    cat = SceneSpec((ObjectSpec("cat"),))
    assert judge_turn("a", 0, answer(label, "", cat, SoundSpec("flute"))).is_correct
    assert not judge_turn("a", 0, answer(label, "", SoundSpec("flute"), cat)).is_correct


@pytest.mark.parametrize(
    "values",
    [
        {"single": [{"text": "x", "want": [{"modality": "image", "objects": [{"object": "unicorn"}]}]}]},
        {"single": [{"text": "x", "want": [{"modality": "image", "background": "orange"}]}]},
        {"single": [{"text": "x", "want": [{"modality": "smell"}]}]},
        {"single": [{"text": "x", "wants": []}]},
    ],
)
def test_labels_outside_the_world_are_refused(values: dict, tmp_path: Path):
    path = tmp_path / "nora.json"
    path.write_text(json.dumps(values))
    with pytest.raises(ConfigError, match=r"nora\.json"):
        read_items(tmp_path)


def test_a_folder_without_items_is_refused(tmp_path: Path):
    with pytest.raises(ConfigError, match="no items"):
        read_items(tmp_path)


def test_authors_of_written_items_are_no_authors_of_templates():
    templates = {author.name for split in AUTHOR_SPLITS for author in load_authors(split)}
    test, development = (set(read_items(folder)) for folder in (people.TEST_DIR, people.DEV_DIR))
    assert not test & templates and not development & templates and not test & development


def test_limit_counts_items_per_list_and_author():
    written = {
        suite: read_items(folder) for suite, folder in ((People, people.TEST_DIR), (PeopleDevelopment, people.DEV_DIR))
    }
    for suite, all_items in written.items():
        for author, items in suite().items(3, seed=0).items():
            available = all_items.get(author)  # None: sampled from templates, without end
            expected = [min(3, len(getattr(available, name))) if available else 3 for name in people.ROWS]
            assert [len(getattr(items, name)) for name in people.ROWS] == expected


def test_items_drawn_from_patterns_are_the_same_for_the_same_seed():
    assert PeopleDevelopment().items(4, seed=1) == PeopleDevelopment().items(4, seed=1)
    assert PeopleDevelopment().items(4, seed=1) != PeopleDevelopment().items(4, seed=2)


def test_true_answers_are_right_in_every_row():
    cases = people.item_cases(PeopleDevelopment().items(3, seed=0), seed=0)
    results = {source: judge_results(OracleSystem().answer(some)) for source, some in cases.items()}
    rows = {score.name: score for score in people._scores(results, results)}
    assert {"people_single", "people_single.modalities", "people_turns.follow_up", "people_dialogues"} <= set(rows)
    assert rows["people_single"].cases == 9 and rows["people_dialogues"].cases == 6
    assert all(score.value == 1.0 for name, score in rows.items() if name.endswith("modalities"))
    assert rows["people_given"].value == 1.0 and rows["people_turns"].value > 0.8


def held(*turns: TurnResult) -> CaseResult:
    case = EvalCase("source", Dialogue(tuple(turn.turn for turn in turns)), 0, all_turns=True)
    return CaseResult(case, turns)


def test_a_wrong_turn_spoils_its_dialogue_alone():
    greeting, hello = labelled_turn(TurnLabel(text="hi", want=())), Reply((Text("Hello"),))
    good = held(TurnResult(greeting, hello), TurnResult(greeting, hello))
    bad = held(TurnResult(greeting, hello), TurnResult(labelled_turn(ASKED), hello))
    results = {"dialogues/nora": [good, bad]}
    rows = {score.name: score.value for score in people._scores(results, results)}
    assert rows["people_turns"] == 0.75 and rows["people_dialogues"] == 0.5
    assert rows["people_turns.first"] == 1.0 and rows["people_turns.follow_up"] == 0.5


def test_rows_count_the_items_of_each_modality_and_author():
    answered = TurnResult(labelled_turn(ASKED), Reply((Text("a cat"),)))
    results = {f"single/{name}": [held(answered)] for name in ("nora", "tunde")}
    rows = {score.name: score.cases for score in people._scores(results, results)}
    assert rows["people_single.image"] == 2 and rows["people_single.by_nora"] == 1


@pytest.mark.parametrize("name", ["people", "people-dev"])
def test_the_suites_can_be_asked_for(name: str):
    assert name in SUITES
