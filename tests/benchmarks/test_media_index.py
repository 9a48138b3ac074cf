"""The benchmarks of the media index run in small form."""

from __future__ import annotations

from pathlib import Path

import pytest
from benchmarks.media_index import measure
from benchmarks.retrieval import names


def test_all_operations_are_measured(tmp_path: Path):
    rows = {row["operation"]: row for row in measure(items=500, width=16, queries=4, folder=tmp_path)}
    assert {"open, float16", "exact, float32, 4 queries", "exact, float16, 1 query"} <= rows.keys()
    assert all(row["wall_s"] >= 0 for row in rows.values())
    if "approximate, 4 queries" in rows:
        assert rows["approximate, 4 queries"]["recall@10"] > 0.9  # so few vectors: most lists are read


@pytest.mark.parametrize(
    ("caption", "is_named"), [("Two black cats.", True), ("A Cat", True), ("A caterpillar", False), ("A dog", False)]
)
def test_a_caption_names_an_object_by_whole_words(caption: str, is_named: bool):
    assert names(caption, "cat") is is_named
