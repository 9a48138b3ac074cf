from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from nextgpt.evaluate.miniworld.cases import CaseResult, EvalCase, TurnResult
from nextgpt.evaluate.miniworld.correctness import (
    all_turns_correct,
    answers_without_media,
    contains_answer,
    contains_main_answer,
    edit_applied,
    edit_preserved_rest,
    has_attributes,
    has_expected_modalities,
)
from nextgpt.message import Part, Reply, Text
from nextgpt.miniworld.language.types import Dialogue, DialogueTurn, MediaPart
from nextgpt.miniworld.specs import MediaSpec, ObjectSpec, SceneSpec, SoundSpec
from nextgpt.testing.scripted_model import tiny_audio, tiny_image

CAT = ObjectSpec("cat", "red", "top left", "large")
SCENE = SceneSpec((CAT,), "grass")
PAIR = SceneSpec(
    (ObjectSpec("cat", place="left", size="small"), ObjectSpec("dog", place="right", size="small")), "white"
)
DRAW = DialogueTurn("text_to_image", ("Draw it.",), ("Here.", MediaPart(SCENE)))
ON_THE_SEA = MediaPart(replace(SCENE, background="sea"), is_edit=True)
EDIT = DialogueTurn("edit_image", ("On the sea.",), (ON_THE_SEA,), (), ("background",))
ASK = DialogueTurn("question", ("What is it, and what does it do?",), ("A cat.",), (("cat", "kitten"), ("sleeps",)))


def result(turn: DialogueTurn, parts: Sequence[Part] = (), *seen: MediaSpec) -> CaseResult:
    return CaseResult(EvalCase("source", Dialogue((turn,)), 0), (TurnResult(turn, Reply(tuple(parts)), seen),))


def test_media_must_be_those_that_were_asked_for() -> None:
    assert has_expected_modalities(result(DRAW, [Text("Here."), tiny_image()], SCENE))
    assert not has_expected_modalities(result(DRAW, [Text("Here.")]))
    assert not has_expected_modalities(result(DRAW, [tiny_image(), tiny_audio()], SCENE, SoundSpec("piano")))


@pytest.mark.parametrize("name", ["object", "tint", "place", "background"])
def test_an_attribute_is_right_or_wrong_by_itself(name: str) -> None:
    other = {"object": "dog", "tint": "blue", "place": "right"}
    wrong = (
        replace(SCENE, background="sea")
        if name == "background"
        else SceneSpec((replace(CAT, **{name: other[name]}),), "grass")
    )
    assert has_attributes(name)(result(DRAW, [tiny_image()], SCENE))
    assert not has_attributes(name)(result(DRAW, [tiny_image()], wrong))
    kept = {"object", "tint", "place", "background"} - {name}
    assert has_attributes(*kept)(result(DRAW, [tiny_image()], wrong))


def test_a_medium_that_was_not_made_is_wrong() -> None:
    assert not has_attributes("object")(result(DRAW, [Text("No.")]))


def test_a_medium_of_another_modality_stands_for_none() -> None:
    assert not has_attributes("object")(result(DRAW, [tiny_audio()], SoundSpec("piano")))


def test_several_objects_must_all_be_there_and_no_more() -> None:
    turn = DialogueTurn("text_to_image", ("Draw.",), (MediaPart(PAIR),))
    swapped = replace(PAIR, objects=PAIR.objects[::-1])
    assert has_attributes("object")(result(turn, [tiny_image()], swapped))
    assert not has_attributes("object")(result(turn, [tiny_image()], replace(PAIR, objects=PAIR.objects[:1])))
    one_more = replace(PAIR, objects=(*PAIR.objects, ObjectSpec("owl", place="top", size="small")))
    assert not has_attributes("object")(result(turn, [tiny_image()], one_more))


def test_every_group_of_key_words_must_be_said() -> None:
    assert contains_answer(result(ASK, [Text("The kitten sleeps.")]))
    assert not contains_answer(result(ASK, [Text("The kitten.")]))
    assert contains_main_answer(result(ASK, [Text("The kitten.")]))
    assert not contains_main_answer(result(ASK, [Text("It sleeps, like catfish.")]))


def test_only_words_means_that_nothing_is_made() -> None:
    assert answers_without_media(result(ASK, [Text("The cat sleeps.")]))
    assert not answers_without_media(result(ASK, [Text("The cat sleeps."), tiny_image()], SCENE))


def test_an_edit_must_change_what_was_asked_and_keep_the_rest() -> None:
    on_the_sea, blue = replace(SCENE, background="sea"), SceneSpec((replace(CAT, tint="blue"),), "sea")
    assert edit_applied(result(EDIT, [tiny_image()], on_the_sea)) and edit_preserved_rest(
        result(EDIT, [tiny_image()], on_the_sea)
    )
    assert edit_applied(result(EDIT, [tiny_image()], blue)) and not edit_preserved_rest(
        result(EDIT, [tiny_image()], blue)
    )
    assert not edit_applied(result(EDIT, [tiny_image()], SCENE)) and edit_preserved_rest(
        result(EDIT, [tiny_image()], SCENE)
    )


def test_an_edit_that_was_not_made_neither_changes_nor_keeps() -> None:
    nothing = result(EDIT, [Text("No.")])
    assert not edit_applied(nothing) and not edit_preserved_rest(nothing)


def test_a_dialogue_is_right_when_all_of_its_turns_are() -> None:
    case = EvalCase("dialogue", Dialogue((DRAW, EDIT, ASK)), 0, all_turns=True)
    drawn = TurnResult(DRAW, Reply((Text("Here."), tiny_image())), (SCENE,))
    edited = TurnResult(EDIT, Reply((tiny_image(),)), (replace(SCENE, background="sea"),))
    said = TurnResult(ASK, Reply((Text("The cat sleeps."),)))
    assert all_turns_correct(CaseResult(case, (drawn, edited, said)))
    assert not all_turns_correct(CaseResult(case, (drawn, replace(edited, judged_specs=(SCENE,)), said)))
    assert not all_turns_correct(CaseResult(case, (drawn, edited, replace(said, reply=Reply((Text("No."),))))))
    assert not all_turns_correct(CaseResult(case, (replace(drawn, judged_specs=(PAIR,)), edited, said)))


def test_a_smaller_slip_than_the_main_attribute_does_not_spoil_a_dialogue() -> None:
    case = EvalCase("dialogue", Dialogue((DRAW,)), 0, all_turns=True)
    reply = Reply((Text("Here."), tiny_image()))
    assert all_turns_correct(CaseResult(case, (TurnResult(DRAW, reply, (replace(SCENE, background="sea"),)),)))
