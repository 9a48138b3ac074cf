from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from nextgpt.annotation.journal import read_rows
from nextgpt.cli.app import main
from nextgpt.evaluate.rating.report import read_report
from nextgpt.evaluate.standard.run_folder import RunFolder


def annotate(folder: Path, path: Path, result: list[dict[str, Any]], annotators: tuple[Any, ...] = (1,)) -> int:
    """Write what Label Studio exports after each annotator has given the same result to each task."""
    tasks = [task for file in sorted(folder.glob("*/tasks.json")) for task in json.loads(file.read_text())]
    for number, task in enumerate(tasks):
        task["id"] = number
        task["annotations"] = [
            {
                "id": number,
                "completed_by": annotator,
                "result": result,
                "was_cancelled": False,
                "created_at": "2026-11-30T10:00:00.123456Z",
                "lead_time": 4.2,
            }
            for annotator in annotators
        ]
    path.write_text(json.dumps(tasks))
    return len(tasks)


def rating(name: str, value: int) -> dict[str, Any]:
    return {"from_name": name, "to_name": "request", "type": "rating", "value": {"rating": value}}


SCORES = [rating("following", 7), rating("rationality", 6), rating("quality", 5)]
COMMENT = {"from_name": "comment", "to_name": "request", "type": "textarea", "value": {"text": ["fine"]}}


def test_tasks_have_a_configuration_that_names_their_fields(run: RunFolder, tmp_path: Path):
    out = tmp_path / "ls"
    assert main(["rate", "export", str(run.path), "--out", str(tmp_path / "r.jsonl"), "--to", str(out)]) == 0
    forms = {path.parent.name for path in out.glob("*/config.xml")}
    assert forms == {"answer-image-1", "answer-audio-1", "answer-video-1", "request-image-1"}
    for form in forms:
        view = ElementTree.parse(out / form / "config.xml").getroot()
        fields = {tag.get("value", "").removeprefix("$") for tag in view if tag.get("value", "").startswith("$")}
        names = {tag.get("name") for tag in view if tag.get("name")}
        assert all(tag.get("toName") in names for tag in view if tag.get("toName"))
        for task in json.loads((out / form / "tasks.json").read_text()):
            assert set(task["data"]) == fields | {"task"}
            for value in task["data"].values():
                if isinstance(value, str) and "?d=" in value:
                    assert (out / value.partition("?d=")[2]).is_file()
    written = "".join(path.read_text() for path in out.glob("*/*.*") if path.suffix in (".json", ".xml"))
    assert not [word for word in ("direct", "cascade", "shuffled", str(run.path)) if word in written]


def test_annotations_come_back_once(run: RunFolder, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    ratings, out, annotations = tmp_path / "r.jsonl", tmp_path / "ls", tmp_path / "export.json"
    main(["rate", "export", str(run.path), "--out", str(ratings), "--to", str(out)])
    people = (3, {"id": 4, "email": "b@example.org"})
    count = annotate(out, annotations, [*SCORES, COMMENT], people)
    assert main(["rate", "import", str(annotations), "--out", str(ratings)]) == 0
    size = ratings.stat().st_size
    assert main(["rate", "import", str(annotations), "--out", str(ratings)]) == 0
    assert ratings.stat().st_size == size
    assert f"0 ratings added, {2 * count} known" in capsys.readouterr().out
    report = read_report(ratings)
    assert report.num_raters == 2 and report.num_answers == 2 * count
    assert {result.value for row in report.means["following"].values() for result in [row]} == {7}
    answer = next(row for row in read_rows(ratings) if row["type"] == "answer")
    assert answer["judgement"]["comment"] == "fine" and answer["judgement"]["seconds"] == 4.2


def test_pairs_come_back_as_choices(run: RunFolder, tmp_path: Path):
    ratings, out, annotations = tmp_path / "r.jsonl", tmp_path / "ls", tmp_path / "export.json"
    main(["rate", "export", str(run.path), "--mode", "pairs", "--out", str(ratings), "--to", str(out)])
    choice = {"from_name": "choice", "to_name": "request", "type": "choices", "value": {"choices": ["B is better"]}}
    annotate(out, annotations, [choice])
    assert main(["rate", "import", str(annotations), "--out", str(ratings)]) == 0
    chosen = {row["judgement"]["choice"] for row in read_rows(ratings) if row["type"] == "answer"}
    assert chosen == {"right"}


@pytest.mark.parametrize(
    ("result", "reason"),
    [(SCORES[:2], "got following, rationality"), ([rating("following", "x")], "incomplete"), ([], "got none")],  # type: ignore[arg-type]
)
def test_incomplete_annotations_are_counted(
    run: RunFolder, tmp_path: Path, capsys: pytest.CaptureFixture[str], result: Any, reason: str
):
    ratings, out, annotations = tmp_path / "r.jsonl", tmp_path / "ls", tmp_path / "export.json"
    main(["rate", "export", str(run.path), "--out", str(ratings), "--to", str(out)])
    count = annotate(out, annotations, result)
    assert main(["rate", "import", str(annotations), "--out", str(ratings)]) == 0
    printed = capsys.readouterr().out
    assert f"{count} left out: " in printed and reason in printed
    assert len(read_rows(ratings)) == 1


def test_other_files_are_refused(run: RunFolder, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    ratings, out, annotations = tmp_path / "r.jsonl", tmp_path / "ls", tmp_path / "export.json"
    main(["rate", "export", str(run.path), "--out", str(ratings), "--to", str(out)])
    for content, message in (
        ("not JSON", "not a list of Label Studio tasks"),
        ('[{"data": {}}]', "not a list of Label Studio tasks"),
        ('[{"data": {"task": "x"}, "annotations": [{}]}]', "is not one of"),
    ):
        annotations.write_text(content)
        assert main(["rate", "import", str(annotations), "--out", str(ratings)]) == 2
        assert message in capsys.readouterr().err
