"""A small work directory of a build, and a browser for the page on it."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.browser import browser, tolerated, visit
from tests.evaluate.small_run import make_medium

from nextgpt.data.build.row import BuildRow, BuiltMessage, Candidate, DialoguePlan, Part, PlannedTurn, write_rows

__all__ = ["browser", "tolerated", "visit"]


def make_medium_part(work: Path, row: int, kind: str, candidates: int = 2) -> Part:
    """Write candidates of a medium; the first is chosen."""
    made = []
    for index in range(candidates):
        path = make_medium(kind, (60 + 90 * index, 100, 200)).save(work / "media" / f"{row}-{kind}-{index}")
        score = 0.9 - index / 10
        path_ = str(path.relative_to(work))
        made.append(Candidate(path=path_, score=score, source="nano", licence="CC0", made_by="synthesized by nano"))
    part = Part(type=kind, caption=f"{kind} of thing {row}", candidates=tuple(made))
    return part.with_candidate(made[0])


def make_row(work: Path, index: int, kind: str) -> BuildRow:
    """Return a dialogue of two turns with a medium in the first reply."""
    request = Part(type="text", text=f"Please make {kind} {index}.")
    reply = Part(type="text", text=f"Here is {kind} {index}.")
    return BuildRow(
        id=f"mosit-{index:05d}",
        stage="filter",
        plan=DialoguePlan(kind="mosit", topic=f"Topic {index}", turns=(PlannedTurn(intent="request"),)),
        messages=(
            BuiltMessage(role="user", content=(request,)),
            BuiltMessage(role="assistant", content=(reply, make_medium_part(work, index, kind))),
            BuiltMessage(role="user", content=(Part(type="text", text="Thanks!"),)),
            BuiltMessage(role="assistant", content=(Part(type="text", text="With pleasure."),)),
        ),
    )


@pytest.fixture
def work(tmp_path: Path) -> Path:
    """A work directory with six dialogues to review and one that the filters dropped."""
    folder = tmp_path / "work"
    (folder / "media").mkdir(parents=True)
    kinds = ("image", "audio", "video", "image", "audio", "video")
    rows = [make_row(folder, index, kind) for index, kind in enumerate(kinds)]
    write_rows([*rows, make_row(folder, 6, "image").dropped("filter", "equal media")], folder / "filter.jsonl")
    return folder
