"""Messages that authors wrote as a whole: labels hold for what is answered, and exchanged words agree with them."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest

from nextgpt.errors import ConfigError
from nextgpt.evaluate.miniworld.people import DEV_DIR, TEST_DIR
from nextgpt.miniworld.language import Dialogue, sample_dialogue
from nextgpt.miniworld.language.description_parser import parse_descriptions
from nextgpt.miniworld.language.descriptions import in_reading_order
from nextgpt.miniworld.language.out_of_domain import KEY_WORDS, UNKNOWN
from nextgpt.miniworld.language.phrasings import written
from nextgpt.miniworld.language.phrasings.author import load_authors
from nextgpt.miniworld.language.phrasings.labels import DialogueLabel, read_items
from nextgpt.miniworld.language.phrasings.state import PhrasedState
from nextgpt.miniworld.language.phrasings.written import (
    WRITTEN_DIR,
    WrittenItems,
    WrittenTurn,
    load_written,
    read_written,
    replace_word,
)
from nextgpt.miniworld.specs import INSTRUMENT_SOURCES, TINTS
from nextgpt.miniworld.splits import is_held_out

TASKS = (
    "written", "written_out_of_domain", "written_small_talk", "written_general", "written_edit_given",
    "written_dialogue",
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
    for dialogue in dialogues(task):
        for turn in dialogue.turns:
            assert not any(is_held_out(part.spec) for part in (*turn.target_media, *turn.input_media))
            told = [in_reading_order(spec) for spec in parse_descriptions(" ".join(_words(turn.assistant)))]
            assert told == [part.spec for part in turn.target_media]


def _words(parts: tuple) -> list[str]:
    return [part for part in parts if isinstance(part, str)]


def test_conversations_have_their_turns():
    assert all(2 <= len(dialogue.turns) <= 4 for dialogue in dialogues("written_dialogue", 30))


def test_almost_every_request_can_be_answered():
    requests = [item for item in load_written().single if item.want]
    answered = [written._answer(state(), item) for item in requests]
    # The others have media of the test split, or places of no layout.
    assert sum(turn is not None for turn in answered) / len(requests) > 0.75


def test_unknown_things_are_declined_and_known_ones_are_not():
    kinds = [bool(d.turns[-1].target_media) for d in dialogues("written_out_of_domain", 200)]
    assert 0 < sum(kinds) < 60
    declined = [d.turns[-1] for d in dialogues("written", 300) if not d.turns[-1].target_media]
    assert 0 < len(declined) < 60
    assert all(turn.key_words == KEY_WORDS for turn in declined)


def test_colors_are_exchanged_in_words_and_labels():
    item = image_item("an orange cat on a blue sheet", {"object": "cat", "tint": "orange"}, background="blue")
    found = {written._exchange_colors(state(seed), item) for seed in range(40)}
    for one in found:
        (label,) = one.want
        assert label.background == "blue"  # type: ignore[union-attr]
        tint = label.objects[0].tint  # type: ignore[union-attr]
        assert one.text == f"{'an' if tint == 'orange' else 'a'} {tint} cat on a blue sheet"
    assert len(found) > 3


def test_an_object_whose_sound_is_wanted_stays():
    values = [{"modality": "image", "objects": [{"object": "guitar"}]}, {"modality": "audio", "source": "guitar"}]
    item = WrittenTurn.model_validate({"text": "a guitar, and its sound", "want": values})
    for seed in range(20):
        assert written._exchange_instruments(state(seed), written._exchange_objects(state(seed), item)) == item


def test_instruments_are_exchanged():
    item = WrittenTurn.model_validate({"text": "Organ, low!", "want": [{"modality": "audio", "source": "organ"}]})
    found = {written._exchange_instruments(state(seed), item) for seed in range(60)}
    assert len(found) > 8
    for one in found:
        source = one.want[0].source  # type: ignore[union-attr]
        assert source in INSTRUMENT_SOURCES and one.text == f"{source[0].upper()}{source[1:]}, low!"


def test_an_unknown_thing_takes_the_place_of_an_object():
    item = image_item("my son wants a cat, a green one", {"object": "cat", "tint": "green"})
    one = written._with_unknown(state(), item, "cat")
    assert one.decline is not None and not one.want
    name = one.decline[1].split(" ", 1)[1]
    assert name in UNKNOWN["things"].train and name in one.text and "cat," not in one.text


def test_an_object_takes_the_place_of_an_unknown_thing_only_if_nothing_else_is_said():
    def variants(text: str) -> set[WrittenTurn]:
        item = WrittenTurn(text=text, decline=("image", "a walrus"))
        return {written._with_other_unknown(state(seed), item) for seed in range(60)}

    assert any(one.want for one in variants("quick sketch of a walrus?"))
    for text in ("a blue walrus please", "a walrus in a boxing ring", "a walrus running"):
        assert not any(one.want for one in variants(text))
        assert any(one.decline and one.decline[1] != "a walrus" for one in variants(text))


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
    ],
)
def test_a_word_is_replaced_where_it_stands_once(text: str, expected: str | None):
    assert replace_word(text, "cat", "owl") == expected


def test_natural_colors_that_were_stated_are_told():
    turn = written._answer(state(), image_item("red apple", {"object": "apple", "tint": "red"}))
    assert turn is not None and "red apple" in turn.assistant[0]
    plain = written._answer(state(), image_item("apple", {"object": "apple"}))
    assert plain is not None and not set(TINTS) & set(str(plain.assistant[0]).split())


@pytest.mark.parametrize(
    "turn",
    [
        {"text": "hello"},
        {"text": "hello", "talk": "greet", "general": True},
        {"text": "hello", "talk": "weather"},
        {"text": "a unicorn", "want": [{"modality": "image", "objects": [{"object": "unicorn"}]}]},
    ],
)
def test_an_item_without_one_valid_answer_is_refused(turn: dict, tmp_path: Path):
    path = tmp_path / "ann.json"
    path.write_text(json.dumps({"single": [turn]}), encoding="utf-8")
    with pytest.raises(ConfigError, match=r"ann\.json"):
        read_written(path)
