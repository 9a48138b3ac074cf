from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from nextgpt.evaluate.case import Answer, Attempt, Case
from nextgpt.evaluate.scoring import (
    every_turn_is_right,
    has_right_modalities,
    is_changed,
    is_kept,
    only_says,
    says,
    says_main,
    shows,
)
from nextgpt.message import Part, Reply, Text
from nextgpt.miniworld.language.dialogue import Dialogue, Shown, Turn
from nextgpt.miniworld.scene import Content, Placed, Scene, Sound
from nextgpt.testing import picture, sound

CAT = Placed("cat", "red", "top left", "large")
SCENE = Scene((CAT,), "grass")
PAIR = Scene((Placed("cat", place="left", size="small"), Placed("dog", place="right", size="small")), "white")
DRAW = Turn("text_to_image", ("Draw it.",), ("Here.", Shown(SCENE)))
ON_THE_SEA = Shown(replace(SCENE, background="sea"), is_edit=True)
EDIT = Turn("edit_image", ("On the sea.",), (ON_THE_SEA,), (), ("background",))
ASK = Turn("question", ("What is it, and what does it do?",), ("A cat.",), (("cat", "kitten"), ("sleeps",)))


def attempt(turn: Turn, parts: Sequence[Part] = (), *seen: Content) -> Attempt:
    return Attempt(Case("source", Dialogue((turn,)), 0), (Answer(turn, Reply(tuple(parts)), seen),))


def test_media_must_be_those_that_were_asked_for() -> None:
    assert has_right_modalities(attempt(DRAW, [Text("Here."), picture()], SCENE))
    assert not has_right_modalities(attempt(DRAW, [Text("Here.")]))
    assert not has_right_modalities(attempt(DRAW, [picture(), sound()], SCENE, Sound("piano")))


@pytest.mark.parametrize("name", ["object", "tint", "place", "background"])
def test_an_attribute_is_right_or_wrong_by_itself(name: str) -> None:
    other = {"object": "dog", "tint": "blue", "place": "right"}
    wrong = (
        replace(SCENE, background="sea")
        if name == "background"
        else Scene((replace(CAT, **{name: other[name]}),), "grass")
    )
    assert shows(name)(attempt(DRAW, [picture()], SCENE))
    assert not shows(name)(attempt(DRAW, [picture()], wrong))
    kept = {"object", "tint", "place", "background"} - {name}
    assert shows(*kept)(attempt(DRAW, [picture()], wrong))


def test_a_medium_that_was_not_made_is_wrong() -> None:
    assert not shows("object")(attempt(DRAW, [Text("No.")]))


def test_a_medium_of_another_modality_stands_for_none() -> None:
    assert not shows("object")(attempt(DRAW, [sound()], Sound("piano")))


def test_several_objects_must_all_be_there_and_no_more() -> None:
    turn = Turn("text_to_image", ("Draw.",), (Shown(PAIR),))
    swapped = replace(PAIR, objects=PAIR.objects[::-1])
    assert shows("object")(attempt(turn, [picture()], swapped))
    assert not shows("object")(attempt(turn, [picture()], replace(PAIR, objects=PAIR.objects[:1])))
    one_more = replace(PAIR, objects=(*PAIR.objects, Placed("owl", place="top", size="small")))
    assert not shows("object")(attempt(turn, [picture()], one_more))


def test_every_group_of_key_words_must_be_said() -> None:
    assert says(attempt(ASK, [Text("The kitten sleeps.")]))
    assert not says(attempt(ASK, [Text("The kitten.")]))
    assert says_main(attempt(ASK, [Text("The kitten.")]))
    assert not says_main(attempt(ASK, [Text("It sleeps, like catfish.")]))


def test_only_words_means_that_nothing_is_made() -> None:
    assert only_says(attempt(ASK, [Text("The cat sleeps.")]))
    assert not only_says(attempt(ASK, [Text("The cat sleeps."), picture()], SCENE))


def test_an_edit_must_change_what_was_asked_and_keep_the_rest() -> None:
    on_the_sea, blue = replace(SCENE, background="sea"), Scene((replace(CAT, tint="blue"),), "sea")
    assert is_changed(attempt(EDIT, [picture()], on_the_sea)) and is_kept(
        attempt(EDIT, [picture()], on_the_sea)
    )
    assert is_changed(attempt(EDIT, [picture()], blue)) and not is_kept(attempt(EDIT, [picture()], blue))
    assert not is_changed(attempt(EDIT, [picture()], SCENE)) and is_kept(attempt(EDIT, [picture()], SCENE))


def test_an_edit_that_was_not_made_neither_changes_nor_keeps() -> None:
    nothing = attempt(EDIT, [Text("No.")])
    assert not is_changed(nothing) and not is_kept(nothing)


def test_a_dialogue_is_right_when_all_of_its_turns_are() -> None:
    case = Case("dialogue", Dialogue((DRAW, EDIT, ASK)), 0, is_every_turn_asked=True)
    drawn = Answer(DRAW, Reply((Text("Here."), picture())), (SCENE,))
    edited = Answer(EDIT, Reply((picture(),)), (replace(SCENE, background="sea"),))
    said = Answer(ASK, Reply((Text("The cat sleeps."),)))
    assert every_turn_is_right(Attempt(case, (drawn, edited, said)))
    assert not every_turn_is_right(Attempt(case, (drawn, replace(edited, seen=(SCENE,)), said)))
    assert not every_turn_is_right(Attempt(case, (drawn, edited, replace(said, reply=Reply((Text("No."),))))))
    assert not every_turn_is_right(Attempt(case, (replace(drawn, seen=(PAIR,)), edited, said)))


def test_a_smaller_slip_than_the_main_attribute_does_not_spoil_a_dialogue() -> None:
    case = Case("dialogue", Dialogue((DRAW,)), 0, is_every_turn_asked=True)
    reply = Reply((Text("Here."), picture()))
    assert every_turn_is_right(Attempt(case, (Answer(DRAW, reply, (replace(SCENE, background="sea"),)),)))
