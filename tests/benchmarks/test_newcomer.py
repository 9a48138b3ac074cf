"""The requests of the newcomer: as many as the documents say, with labels that a right answer can meet."""

from __future__ import annotations

import json

from benchmarks.newcomer.run import REQUESTS

from nextgpt.miniworld.language.phrasings.labels import PeopleItems

ITEMS = PeopleItems.model_validate(json.loads(REQUESTS.read_text(encoding="utf-8")))
TURNS = [*ITEMS.single, *(turn for dialogue in ITEMS.dialogues for turn in dialogue.turns)]


def test_there_are_60_messages_of_all_modalities() -> None:
    assert len(TURNS) == 60
    assert {medium.modality for turn in TURNS for medium in turn.want} == {"image", "audio", "video"}


def test_every_label_is_met_by_its_completion() -> None:
    for turn in TURNS:
        for medium in turn.want:
            assert medium.matches(medium.complete()), turn.text
