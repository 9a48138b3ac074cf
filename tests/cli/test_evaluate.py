from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.evaluate.stand_ins import StandIn, create

from nextgpt.cli.app import main
from nextgpt.evaluate.miniworld import suite
from nextgpt.evaluate.score import Score
from nextgpt.evaluate.standard import run_suite
from nextgpt.miniworld.export import export_miniworld

Printed = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def measured(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str, int, int | None]]:
    """What was asked for; one row is the answer."""
    asked = []

    def evaluate(
        name: str,
        suite_name: str,
        *,
        limit: int,
        seed: int,
        num_workers: int,
        on_progress: suite.ProgressCallback,
        num_inference_steps: int | None,
    ) -> suite.Results:
        asked.append((name, suite_name, limit, num_inference_steps))
        on_progress("drawings", 2, 2)
        print("a library that prints")
        return suite.Results(name, suite_name, (Score("questions", 0.5, 0.25, 0.75, 8, None),), ())

    monkeypatch.setattr(suite, "evaluate", evaluate)
    return asked


def test_json_is_one_object_of_the_promised_form(measured: list, capsys: Printed) -> None:
    assert main(["eval", "nano", "--limit", "8", "--steps", "50", "--json"]) == 0
    printed = capsys.readouterr()
    assert measured == [("nano", "miniworld", 8, 50)]
    row = {"name": "questions", "value": 0.5, "low": 0.25, "high": 0.75, "cases": 8, "judge": None}
    assert json.loads(printed.out) == {"model": "nano", "suite": "miniworld", "rows": [row]}
    assert "drawings: 2 in 0.0 s\n" in printed.err


def test_the_table_names_every_row(capsys: Printed) -> None:
    assert main(["eval"]) == 0
    assert "| questions | 50.0 |" in capsys.readouterr().out


def test_out_takes_the_report(tmp_path: Path, capsys: Printed) -> None:
    assert main(["eval", "--out", str(tmp_path / "report"), "--json"]) == 0
    assert json.loads((tmp_path / "report" / "results.json").read_text()) == json.loads(capsys.readouterr().out)


@pytest.mark.parametrize("arguments", [["--limit", "0"], ["--steps", "0"], ["--limit", "x"], ["--out", "/dev/null/x"]])
def test_a_users_mistake_is_status_2(arguments: list[str], capsys: Printed) -> None:
    assert main(["eval", *arguments]) == 2
    assert capsys.readouterr().out == ""


def test_a_standard_suite_prints_its_rows_and_keeps_its_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Printed
) -> None:
    export_miniworld(tmp_path / "data", count=2)
    monkeypatch.setattr(run_suite, "create_system", create(StandIn()))
    arguments = ["eval", "nano", "--suite", "coco-t2i", "--data", str(tmp_path / "data"), "--metric", "modality"]
    assert main([*arguments, "--out", str(tmp_path / "run"), "--json"]) == 0
    content = json.loads(capsys.readouterr().out)
    assert content == json.loads((tmp_path / "run" / "scores.json").read_text())
    keys = {"name", "value", "low", "high", "cases", "judge"}
    assert (content["model"], content["suite"]) == ("nano", "coco-t2i")
    assert all(keys <= row.keys() for row in content["rows"])
    assert main(arguments) == 0
    assert "| modality.exact | 1.000" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--suite", "coco-t2i"], "needs a corpus; expected --data DIR"),
        (["--suite", "coco-t2", "--data", "."], "suite 'coco-t2' is unknown; expected one of miniworld, "),
        (["--suite", "coco-t2"], "Did you mean 'coco-t2i'?"),
        (["--suite", "miniworld", "--data", "."], "suite miniworld takes no --data"),
        (["--suite", "miniworld", "--extractor", "clip"], "suite miniworld takes no --extractor"),
        (["--suite", "coco-t2i", "--data", ".", "--extractor", "clip"], "extractor 'clip' is unknown"),
        (["--suite", "coco-t2i", "--data", "/nowhere"], "/nowhere is no folder"),
    ],
)
def test_mistakes_about_corpora_are_one_line(arguments: list[str], message: str, capsys: Printed) -> None:
    assert main(["eval", *arguments]) == 2
    printed = capsys.readouterr().err
    assert message in printed and len(printed.strip().splitlines()) == 1
