"""Messages that authors wrote as a whole: labels hold for what is answered, and exchanged words agree with them."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest

from nextgpt.errors import ConfigError
from nextgpt.evaluate.miniworld.people import DEV_DIR, TEST_DIR
from nextgpt.miniworld.language import Dialogue, DialogueTurn, sample_dialogue
from nextgpt.miniworld.language.description_parser import parse_descriptions
from nextgpt.miniworld.language.descriptions import in_reading_order
from nextgpt.miniworld.language.lexicon import article
from nextgpt.miniworld.language.out_of_domain import KEY_WORDS, UNKNOWN
from nextgpt.miniworld.language.phrasings import edits, exchanges, written
from nextgpt.miniworld.language.phrasings.author import load_authors
from nextgpt.miniworld.language.phrasings.exchanges import replace_word
from nextgpt.miniworld.language.phrasings.labels import (
    AudioLabel,
    DialogueLabel,
    ImageLabel,
    WrittenItems,
    WrittenTurn,
    read_items,
)
from nextgpt.miniworld.language.phrasings.state import PhrasedState
from nextgpt.miniworld.language.phrasings.written import WRITTEN_DIR, load_written
from nextgpt.miniworld.sample_specs import LAYOUTS
from nextgpt.miniworld.specs import INSTRUMENT_SOURCES, TINTS, SceneSpec
from nextgpt.miniworld.splits import is_held_out

TASKS = (
    "written", "written_out_of_domain", "written_small_talk", "written_general", "written_answered",
    "written_edit_given", "written_question_given", "written_dialogue",
)  # fmt: skip


def state(seed: int = 0) -> PhrasedState:
    return PhrasedState(np.random.default_rng(seed), "train", author=load_authors("train")[0])


def dialogues(task: str, count: int = 60, seed: int = 0) -> list[Dialogue]:
    rng = np.random.default_rng(seed)
    return [sample_dialogue(rng, "train", task=f"phrased.{task}") for _ in range(count)]


def all_turns(items: WrittenItems) -> list[WrittenTurn]:
    return [*items.single, *items.given, *(turn for dialogue in items.dialogues for turn in dialogue.turns)]


def image_item(text: str, *objects: dict[str, str], background: str | None = None) -> WrittenTurn:
    return WrittenTurn.model_validate(
        {"text": text, "want": [{"modality": "image", "objects": objects, "background": background}]}
    )


def test_there_are_many_messages_by_many_authors():
    assert len(list(WRITTEN_DIR.glob("*.json"))) >= 30
    assert len(load_written().single) >= 3000 and len(load_written().dialogues) >= 250


def words_only(text: str) -> str:
    return " ".join(re.findall(r"\w+", text.lower()))


def test_no_message_is_an_item_of_the_evaluation():
    held_out: set[str] = set()
    for folder in (TEST_DIR, DEV_DIR):
        for author, items in read_items(folder).items():
            assert not (WRITTEN_DIR / f"{author}.json").exists()
            for item in (*items.single, *items.given, *items.dialogues):
                turns = item.turns if isinstance(item, DialogueLabel) else (item,)
                held_out |= {words_only(turn.text) for turn in turns}
    trained = {words_only(turn.text) for turn in all_turns(load_written())}
    prompts = (Path(__file__).parents[2] / "recipes/small/general-prompts.txt").read_text(encoding="utf-8")
    # Everybody says "sax" or "make it small".
    assert not {text for text in held_out & trained if len(text.split()) > 3}
    assert not held_out & set(map(words_only, prompts.splitlines()))


@pytest.mark.parametrize("task", TASKS)
def test_answers_name_their_media_in_the_training_split(task: str):
    media = 0
    for dialogue in dialogues(task):
        for turn in dialogue.turns:
            assert not any(is_held_out(part.spec) for part in (*turn.target_media, *turn.input_media))
            told = [in_reading_order(spec) for spec in parse_descriptions(" ".join(_words(turn.assistant)))]
            assert told == [part.spec for part in turn.target_media]
            media += len(told)
    assert media >= {"written": 60, "written_edit_given": 60, "written_dialogue": 120}.get(task, 0)


def _words(parts: tuple) -> list[str]:
    return [part for part in parts if isinstance(part, str)]


def test_conversations_have_all_of_their_turns():
    lengths = {words_only(item.turns[0].text): len(item.turns) for item in load_written().dialogues}
    for dialogue in dialogues("written_dialogue", 30):
        length = lengths.get(words_only(dialogue.turns[0].user_text))  # None if it has a typing error
        assert length in (None, len(dialogue.turns))


def test_what_cannot_be_answered_is_held_out_or_no_medium_of_the_small_world():
    requests = [item for item in load_written().single if item.want]
    refused = [item for item in requests if written._answer(state(), item) is None]
    for item in refused:
        specs = [label.complete() for label in item.want]
        places = [{obj.place for obj in spec.objects} for spec in specs if isinstance(spec, SceneSpec)]
        has_layouts = all(len(one) == 1 or one in map(set, LAYOUTS[len(one)]) for one in places)
        assert any(map(is_held_out, specs)) or not has_layouts, item.text
    assert 0 < len(refused) < 0.25 * len(requests)


def test_unknown_things_take_the_place_of_objects_and_are_declined():
    item = image_item("my son wants a cat on grass", {"object": "cat"}, background="grass")
    found = [exchanges.exchange_words(state(seed), item) for seed in range(60)]
    declined = [one for one in found if one.decline]
    assert 0 < len(declined) < 30
    for one in declined:
        turn = written._answer(state(), one)
        assert turn is not None and not turn.target_media and turn.key_words == KEY_WORDS
        assert one.decline is not None and one.decline[1] in one.text
        assert one.decline[1].split(" ", 1)[1] in UNKNOWN["things"].train


def test_colors_are_exchanged_in_words_and_labels(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(exchanges, "UNKNOWN_RATE", 0.0)
    item = image_item("an orange ghost on a blue sheet", {"object": "ghost", "tint": "orange"}, background="blue")
    found = {exchanges.exchange_words(state(seed), item) for seed in range(60)}
    for one in found:
        (label,) = one.want
        assert isinstance(label, ImageLabel) and label.background == "blue"
        (obj,) = label.objects
        assert obj.tint and obj.tint != "blue"
        assert one.text == f"{article(obj.tint)} {obj.tint} {obj.object} on a blue sheet"
    assert len({one.text.split()[1] for one in found}) > 3 < len({one.text.split()[2] for one in found})


def test_a_color_that_the_background_has_too_stays():
    item = image_item("a blue ghost on blue", {"object": "ghost", "tint": "blue"}, background="blue")
    assert all("blue" in exchanges.exchange_words(state(seed), item).text for seed in range(30))


def test_no_word_becomes_one_that_another_label_has():
    objects = {"object": "shoe", "tint": "yellow"}, {"object": "shoe", "tint": "green"}
    item = image_item("two shoes, one yella and one green", *objects)
    for seed in range(80):
        (label,) = exchanges.exchange_words(state(seed), item).want
        assert isinstance(label, ImageLabel)
        assert label.objects[0].tint == "yellow" != label.objects[1].tint


def test_an_object_whose_sound_is_wanted_stays():
    values = [{"modality": "image", "objects": [{"object": "guitar"}]}, {"modality": "audio", "source": "guitar"}]
    item = WrittenTurn.model_validate({"text": "a guitar, and its sound", "want": values})
    assert all(exchanges.exchange_words(state(seed), item) == item for seed in range(20))


def test_instruments_are_exchanged():
    item = WrittenTurn.model_validate({"text": "Organ, low!", "want": [{"modality": "audio", "source": "organ"}]})
    found = {exchanges.exchange_words(state(seed), item) for seed in range(60)}
    assert len(found) > 8
    for one in found:
        (label,) = one.want
        assert isinstance(label, AudioLabel) and label.source in INSTRUMENT_SOURCES
        assert one.text == f"{label.source[0].upper()}{label.source[1:]}, low!"


def test_an_object_takes_the_place_of_an_unknown_thing_only_if_nothing_else_is_said():
    def variants(text: str) -> set[WrittenTurn]:
        item = WrittenTurn(text=text, decline=("image", "a walrus"))
        return {exchanges.exchange_unknown(state(seed), item) for seed in range(60)}

    assert any(one.want for one in variants("quick sketch of a walrus?"))
    for text in ("a blue walrus please", "a walrus in a boxing ring", "a walrus running"):
        assert not any(one.want for one in variants(text))
        assert any(one.decline and one.decline[1] != "a walrus" for one in variants(text))


def test_proper_names_are_not_exchanged():
    item = WrittenTurn(text="play the Beatles", decline=("audio", "the Beatles"))
    assert all(exchanges.exchange_unknown(state(seed), item) == item for seed in range(20))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("draw a cat", "draw an owl"),
        ("A cat!", "An owl!"),
        ("CAT NOW", "OWL NOW"),
        ("Cat, please", "Owl, please"),
        ("cats", None),
        ("a cat and a cat", None),
        ("the cat's hat", None),
        ("tom-cat", None),
        ("cats, a cat on the left", None),
    ],
)
def test_a_word_is_replaced_where_it_stands_once(text: str, expected: str | None):
    assert replace_word(text, "cat", "owl") == expected


def test_natural_colors_that_were_stated_are_told():
    turn = written._answer(state(), image_item("red apple", {"object": "apple", "tint": "red"}))
    assert turn is not None and "red apple" in turn.assistant[0]
    plain = written._answer(state(), image_item("apple", {"object": "apple"}))
    assert plain is not None and not set(TINTS) & set(str(plain.assistant[0]).split())


def given_turn(text: str, objects: list[dict[str, str]], wanted: list[dict[str, str]]) -> DialogueTurn:
    values = {"text": text, "given": [{"modality": "image", "objects": objects}]}
    item = WrittenTurn.model_validate({**values, "want": [{"modality": "image", "objects": wanted}]})
    turn = written._answer(state(), item)
    assert turn is not None
    return turn


def test_natural_colors_of_what_stays_are_not_told():
    stays = {"object": "sun", "tint": "yellow", "place": "left"}
    house = {"object": "house", "place": "right"}
    turn = given_turn("house should be purple", [stays, house], [stays, {**house, "tint": "purple"}])
    assert "yellow" not in str(turn.assistant[0]) and "purple" in str(turn.assistant[0])


def test_what_remains_is_as_an_edit_from_templates_keeps_it():
    cat, dog = {"object": "cat", "place": "left", "size": "small"}, {"object": "dog", "place": "right", "size": "small"}
    turn = given_turn("lose the dog", [cat, dog], [{"object": "cat"}])
    (given,), (target,) = turn.input_media, turn.target_media
    removed = {edit.spec for seed in range(20) if (edit := edits.edit_remove(state(seed), given.spec)) is not None}
    assert target.spec in removed and len(removed) == 2


@pytest.mark.parametrize(
    ("first", "second", "intro"),
    [
        ({"modality": "image", "objects": [{"object": "banjo"}]}, {"modality": "audio", "source": "banjo"}, True),
        ({"modality": "audio", "source": "banjo"}, {"modality": "image", "objects": [{"object": "banjo"}]}, True),
        ({"modality": "image", "objects": [{"object": "banjo"}]}, {"modality": "audio", "source": "piano"}, False),
    ],
)
def test_the_sound_or_image_of_the_same_thing_is_introduced(first: dict, second: dict, intro: bool):
    item = WrittenTurn.model_validate({"text": "and now?", "given": [first], "want": [second]})
    turn = written._answer(state(), item)
    assert turn is not None and str(turn.assistant[0]).startswith("This is a banjo.") == intro


@pytest.mark.parametrize(
    "turn",
    [
        {"text": "hello"},
        {"text": "hello", "talk": "greet", "general": True},
        {"text": "hello", "talk": "weather"},
        {"text": "hello", "talk": "greet", "say": [["hello"]]},
        {"text": "hello", "talk": "greet", "given": [{"modality": "audio", "source": "flute"}]},
        {"text": "a unicorn", "want": [{"modality": "image", "objects": [{"object": "unicorn"}]}]},
    ],
)
def test_an_item_without_one_valid_answer_is_refused(turn: dict, tmp_path: Path):
    path = tmp_path / "ann.json"
    path.write_text(json.dumps({"single": [turn]}), encoding="utf-8")
    with pytest.raises(ConfigError, match=r"ann\.json"):
        read_items(tmp_path, WrittenItems)
