from __future__ import annotations

import pytest

from nextgpt.evaluate.miniworld.held_out import sample_cases
from nextgpt.evaluate.miniworld.metrics import METRICS
from nextgpt.miniworld.language.lexicon import PLACE_FORMS
from nextgpt.miniworld.language.types import contains_phrase
from nextgpt.miniworld.specs import SceneSpec
from nextgpt.miniworld.splits import is_held_out

LIMIT = 4
CONTRACT = """
modalities
text_to_image.object text_to_image.background text_to_image.place text_to_image.tint text_to_image.two_objects
text_to_audio.source text_to_audio.pitch text_to_audio.pattern text_to_video.object text_to_video.motion
image_to_text.object audio_to_text.source video_to_text.motion questions
edit_image.changed edit_image.kept edit_audio.changed edit_audio.kept edit_video.changed edit_video.kept
dialogues outside
indirect_image.direct indirect_image.cascade indirect_image.true_caption
indirect_audio.direct indirect_audio.cascade indirect_audio.true_caption
"""


@pytest.fixture(scope="module")
def cases():
    return sample_cases(METRICS, limit=LIMIT, seed=0)


def test_the_rows_are_those_of_the_contract() -> None:
    assert [row.name for row in METRICS] == CONTRACT.split()


def test_every_row_has_as_many_cases_as_were_asked_for(cases) -> None:
    for row in METRICS:
        counted = sum(row.applies_to(case) for source in row.tasks for case in cases[source])
        assert counted >= LIMIT, row.name


def test_cases_that_no_row_counts_are_not_drawn(cases) -> None:
    for source, drawn in cases.items():
        assert all(any(row.applies_to(case) for row in METRICS if source in row.tasks) for case in drawn)


def test_the_same_seed_draws_the_same_cases(cases) -> None:
    assert sample_cases(METRICS[1:3], limit=LIMIT, seed=0)["text_to_image"][:LIMIT] == cases["text_to_image"][:LIMIT]
    assert sample_cases(METRICS[1:3], limit=LIMIT, seed=1)["text_to_image"] != cases["text_to_image"]


def test_what_is_asked_for_is_held_out(cases) -> None:
    for source in ("text_to_image", "text_to_audio", "text_to_video", "edit_image"):
        assert all(is_held_out(case.evaluated_turns[-1].target_media[0].spec) for case in cases[source])


def test_a_place_counts_only_where_the_request_says_it(cases) -> None:
    (row,) = [row for row in METRICS if row.name == "text_to_image.place"]
    for case in filter(row.applies_to, cases["text_to_image"]):
        content = case.evaluated_turns[-1].target_media[0].spec
        assert isinstance(content, SceneSpec)
        request = case.evaluated_turns[-1].user[0]
        assert any(contains_phrase(request, phrase) for phrase in PLACE_FORMS[content.objects[0].place])


def test_media_that_are_asked_about_come_with_the_question(cases) -> None:
    for row in METRICS:
        if row.name in ("image_to_text.object", "questions"):
            assert all(case.evaluated_turns[-1].input_media for case in cases[row.tasks[0]] if row.applies_to(case))


def test_dialogues_are_asked_from_their_first_turn(cases) -> None:
    assert all(case.history == () and 3 <= len(case.evaluated_turns) <= 7 for case in cases["dialogue"])
    assert all(len(case.evaluated_turns) == 1 for case in cases["indirect_image"])


@pytest.mark.parametrize(
    ("words", "phrase", "is_there"),
    [("A cat ON TOP.", "on top", True), ("a catfish", "cat", False), ("no", "top", False)],
)
def test_words_are_mentioned_whole_in_any_case(words: str, phrase: str, is_there: bool) -> None:
    assert contains_phrase(words, phrase) is is_there
