"""Reviews by page, by API and by Label Studio, and what the build makes of them."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import httpx
import pytest
from tests.annotation.pages import check_accessibility, serving
from tests.browser import ready

from nextgpt.cli.app import main
from nextgpt.data.build.review import Decision, apply_decisions, read_decisions
from nextgpt.data.build.row import read_rows
from nextgpt.data.review.agreement import summarize_review
from nextgpt.data.review.assignment import read_reviewable, remaining_ids, shared_ids
from nextgpt.data.review.server import create_review_app, open_decisions

IDS = [f"mosit-{index:05d}" for index in range(6)]


@contextlib.contextmanager
def reviewing(work: Path) -> Iterator[str]:
    with open_decisions(work) as journal:
        app, _ = create_review_app(work, journal)
        with serving(app) as address:
            yield address


def decisions(work: Path) -> list[Decision]:
    return read_decisions(work / "decisions.jsonl")


def decision(name: str, reviewer: str, kind: str, reason: str = "") -> Decision:
    return Decision(id=name, reviewer=reviewer, decision=kind, reason=reason)  # type: ignore[arg-type]


@pytest.mark.browser
def test_a_reviewer_keeps_corrects_and_drops_by_keyboard_and_resumes(work: Path, visit: Any):
    with reviewing(work) as address:
        page = ready(visit(address))
        check_accessibility(page, "start")
        page.fill("#reviewer", "Anna")
        page.press("#reviewer", "Enter")
        page.wait_for_selector(".decision")
        check_accessibility(page, "dialogue")
        first = page.inner_text("main > .help").split(" ")[0]
        page.keyboard.press("e")
        page.keyboard.press("Control+A")
        page.keyboard.type("Better words, please.")
        page.keyboard.press("Escape")
        page.check("input[aria-label='Candidate 2 of 2']")
        assert page.locator(".changed").count() == 2
        page.keyboard.press("k")
        page.wait_for_selector("text=1 reviewed, 5 left")
        page.keyboard.press("d")
        check_accessibility(page, "reasons")
        page.keyboard.press("2")
        page.wait_for_selector("text=2 reviewed, 4 left")
    kept, dropped = decisions(work)
    assert (kept.id, kept.decision, kept.reviewer) == (first, "keep", "Anna")
    assert kept.messages is not None and kept.messages[0].text == "Better words, please."
    assert kept.messages[1].media[0].path == kept.messages[1].media[0].candidates[1].path
    assert (dropped.decision, dropped.reason, dropped.messages) == ("drop", "wrong or unnatural text", None)
    with reviewing(work) as address:
        small = {"viewport": {"width": 360, "height": 740}, "color_scheme": "dark"}
        page = visit(f"{address}/?reviewer=Anna", **small)
        page.wait_for_selector("text=2 reviewed, 4 left")
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        check_accessibility(page, "small and dark")
        page.keyboard.press("b")
        page.wait_for_selector("text=You dropped this dialogue")
        page.keyboard.press("b")
        page.wait_for_selector("text=You kept this dialogue")
        assert page.input_value("textarea.text >> nth=0") == "Better words, please."
        assert page.is_checked("input[aria-label='Candidate 2 of 2']")
        page.keyboard.press("k")
        for left in (4, 3, 2, 1):
            page.wait_for_selector(f"text={6 - left} reviewed, {left} left")
            ready(page)
            page.keyboard.press("k")
        ready(page, "done")
    assert {one.id for one in decisions(work)} == set(IDS)


def test_the_build_applies_what_the_api_wrote(work: Path):
    with reviewing(work) as address, httpx.Client(base_url=address) as client:
        shown = client.get(f"/api/rows/{IDS[0]}", params={"reviewer": "Ben"}).json()
        assert shown["messages"][1]["parts"][1]["candidates"][0]["licence"] == "CC0"
        change = {"message": 1, "part": 1, "candidate": 1}
        keep = {"reviewer": "Ben", "decision": "keep", "corrections": [change]}
        client.post(f"/api/rows/{IDS[0]}", json=keep).raise_for_status()
        drop = {"reviewer": "Ben", "decision": "drop", "reason": "bad"}
        client.post(f"/api/rows/{IDS[1]}", json=drop).raise_for_status()
        client.post(f"/api/rows/{IDS[2]}", json={"reviewer": "Ben", "decision": "keep"}).raise_for_status()
        client.post(f"/api/rows/{IDS[2]}", json=drop | {"reviewer": "Cleo"}).raise_for_status()
    rows = {row.id: row for row in apply_decisions(list(read_rows(work / "filter.jsonl")), work)}
    assert rows[IDS[0]].media[0].path == "media/0-image-1.png" and rows[IDS[0]].is_kept
    assert (rows[IDS[1]].reason, rows[IDS[2]].reason) == ("rejected", "disputed")
    assert decisions(work)[2].messages is None


def test_bad_requests_write_nothing(work: Path):
    with reviewing(work) as address, httpx.Client(base_url=address) as client:

        def refused(row: str = IDS[0], **body: Any) -> str:
            answer = client.post(f"/api/rows/{row}", json={"reviewer": "Dora", "decision": "keep"} | body)
            assert 400 <= answer.status_code < 500
            return answer.json()["error"]["message"]

        assert "needs a reason" in refused(decision="drop", reason=" ")
        assert "There is no dialogue" in refused(row="mosit-00006")
        assert "cannot be empty" in refused(corrections=[{"message": 0, "part": 0, "text": "  "}])
        assert "has 2 candidates" in refused(corrections=[{"message": 1, "part": 1, "candidate": 2}])
        assert "has no message 9" in refused(corrections=[{"message": 9, "part": 0, "text": "x"}])
        assert "expected 1 to 40" in refused(reviewer="")
        assert refused(decision="maybe")
    assert decisions(work) == []


def test_shared_rows_come_first_and_go_to_two_people(work: Path):
    rows = read_reviewable(work)
    assert [row.id for row in rows] == IDS
    shared = shared_ids(rows, fraction=0.3)
    assert len(shared) == 2 and shared == shared_ids(rows, fraction=0.3)
    first = remaining_ids(rows, [], "Anna", shared)
    assert set(first[:2]) == shared and set(first) == set(IDS)
    done = [decision(name, "Anna", "keep") for name in IDS]
    assert remaining_ids(rows, done, "Anna", shared) == []
    assert set(remaining_ids(rows, done, "Ben", shared)) == shared
    assert remaining_ids(rows, [*done, *(decision(name, "Ben", "drop") for name in shared)], "Cleo", shared) == []


def test_agreement_counts_rows_of_two_people_and_the_last_decision():
    found = summarize_review(
        ["a", "b", "c", "d"],
        [
            decision("a", "x", "drop", "old"), decision("a", "x", "keep"), decision("a", "y", "keep"),
            decision("b", "x", "drop", "bad"), decision("b", "y", "drop", "bad"),
            decision("c", "x", "keep"), decision("c", "y", "drop", "other"), decision("gone", "x", "keep"),
        ],
    )  # fmt: skip
    assert (found.decided, found.kept, found.pairs, found.disputed) == (3, 1, 3, ("c",))
    assert found.dropped == {"bad": 1, "disputed": 1}
    assert found.agreement == pytest.approx(2 / 3) and found.kappa == pytest.approx(0.4)
    assert summarize_review(["a"], []).agreement is None


def test_the_command_prints_the_agreement(work: Path, capsys: pytest.CaptureFixture[str]):
    with open_decisions(work) as journal:
        for name, kind in (("Anna", "keep"), ("Ben", "drop")):
            journal.append(decision(IDS[0], name, kind, "bad").model_dump(exclude_none=True))
    assert main(["data", "review", str(work), "--summary"]) == 0
    printed = capsys.readouterr().out
    assert "1 of 6 dialogues reviewed: 0 kept" in printed and "0 % agreement" in printed and IDS[0] in printed
    assert main(["data", "review", str(work), "--host", "0.0.0.0"]) == 2
    assert main(["data", "review", str(work / "nothing"), "--summary"]) == 2
    assert "cannot be read" in capsys.readouterr().err


def annotate(folder: Path, path: Path, *results: dict[str, Any]) -> None:
    tasks = [task for file in sorted(folder.glob("*/tasks.json")) for task in json.loads(file.read_text())]
    for task in tasks:
        task["annotations"] = [{"completed_by": 7, "result": results, "created_at": "2026-11-30T10:00:00Z"}]
    path.write_text(json.dumps(tasks))


def choice(name: str, value: str) -> dict[str, Any]:
    return {"from_name": name, "to_name": "dialogue", "type": "choices", "value": {"choices": [value]}}


def test_label_studio_gets_tasks_and_gives_decisions(work: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    folder, export = tmp_path / "ls", tmp_path / "export.json"
    assert main(["data", "review", str(work), "--export-to", str(folder)]) == 0
    for config in folder.glob("*/config.xml"):
        tags = list(ElementTree.parse(config).getroot().iter())
        names = {tag.get("name") for tag in tags}
        fields = {tag.get("value", "")[1:] for tag in tags if tag.get("value", "").startswith("$")}
        assert all(tag.get("toName") in names for tag in tags if tag.get("toName"))
        for task in json.loads((config.parent / "tasks.json").read_text()):
            assert set(task["data"]) == fields | {"id"}
            urls = [value for value in task["data"].values() if "?d=" in str(value)]
            assert len(urls) == 2 and all((folder / url.partition("?d=")[2]).is_file() for url in urls)
    text = {"from_name": "text_1", "to_name": "dialogue", "type": "textarea", "value": {"text": ["Do it."]}}
    annotate(folder, export, choice("decision", "keep"), choice("medium_3", "2"), text)
    for _ in range(2):
        assert main(["data", "review", str(work), "--import-from", str(export)]) == 0
    assert "6 decisions added, 0 known" in capsys.readouterr().out
    assert len(decisions(work)) == 6
    row = apply_decisions(read_reviewable(work), work)[0]
    assert row.messages[0].text == "Do it." and row.media[0].path == "media/0-image-1.png"
    annotate(folder, export, choice("reason", "unsafe or private"))
    assert main(["data", "review", str(work), "--import-from", str(export)]) == 0
    assert "0 decisions added, 0 known, 6 incomplete" in capsys.readouterr().out
    export.write_text('[{"data": {"id": "x"}, "annotations": [{}]}]')
    assert main(["data", "review", str(work), "--import-from", str(export)]) == 2
