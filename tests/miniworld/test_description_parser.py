from __future__ import annotations

import numpy as np
import pytest

from nextgpt.miniworld.language.description_parser import parse_description
from nextgpt.miniworld.language.descriptions import describe
from nextgpt.miniworld.language.dialogue_state import sample_spec


@pytest.mark.parametrize("modality", ["image", "audio", "video"])
def test_every_description_is_parsed_back(modality: str) -> None:
    rng = np.random.default_rng(0)
    specs = [sample_spec(rng, modality, "train") for _ in range(150)]
    assert [parse_description(describe(spec)) for spec in specs] == specs


def test_introductions_are_dropped_and_other_text_is_refused() -> None:
    expected = parse_description("a large red cat at the top left on grass")
    assert expected is not None and parse_description("I see a large red cat at the top left on grass.") == expected
    assert parse_description("I see a large red dragonfruit at the top left on grass.") is None
    assert parse_description("") is None
