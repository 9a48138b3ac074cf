from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from nextgpt.annotation.journal import read_rows
from nextgpt.cli.app import main
from nextgpt.evaluate.standard.run_folder import RunFolder

SDK_PYTHON = os.environ.get("NEXTGPT_LABEL_STUDIO_PYTHON")
SCRIPT = Path(__file__).parents[3] / "benchmarks" / "label_studio_schema.py"

pytestmark = pytest.mark.skipif(
    SDK_PYTHON is None, reason="set NEXTGPT_LABEL_STUDIO_PYTHON to the Python of an environment with label-studio-sdk"
)


def check(folder: Path, annotations: Path) -> subprocess.CompletedProcess[str]:
    command = [str(SDK_PYTHON), str(SCRIPT), str(folder), "--annotations", str(annotations)]
    return subprocess.run(command, capture_output=True, text=True)


@pytest.mark.parametrize("mode", ["scores", "pairs"])
def test_exports_are_valid_and_annotations_of_label_studio_come_back(
    run: RunFolder, tmp_path: Path, mode: str, capsys: pytest.CaptureFixture[str]
) -> None:
    ratings, out, annotations = tmp_path / "r.jsonl", tmp_path / "ls", tmp_path / "annotations.json"
    assert main(["rate", "export", str(run.path), "--mode", mode, "--out", str(ratings), "--to", str(out)]) == 0
    done = check(out, annotations)
    assert done.returncode == 0, done.stderr
    tasks = json.loads(annotations.read_text())
    assert f"{len(tasks)} tasks, 0 problems" in done.stdout
    assert main(["rate", "import", str(annotations), "--out", str(ratings)]) == 0
    # The SDK also draws ratings of 0, which the page of Label Studio has not; they are left out and counted.
    results = [task["annotations"][0]["result"] for task in tasks]
    valid = sum(all(row["value"].get("rating") != 0 for row in result) for result in results)
    assert sum(row["type"] == "answer" for row in read_rows(ratings)) == valid > 0


def test_the_validator_finds_a_task_and_a_configuration_of_another_form(run: RunFolder, tmp_path: Path) -> None:
    ratings, out = tmp_path / "r.jsonl", tmp_path / "ls"
    main(["rate", "export", str(run.path), "--out", str(ratings), "--to", str(out)])
    first, second = sorted(out.glob("*/config.xml"))[:2]
    tasks = json.loads((first.parent / "tasks.json").read_text())
    del tasks[0]["data"]["request"]
    (first.parent / "tasks.json").write_text(json.dumps(tasks))
    second.write_text(second.read_text().replace('toName="request"', 'toName="nothing"'))
    done = check(out, tmp_path / "annotations.json")
    assert done.returncode == 1
    assert f"{first.parent.name}/tasks.json: task 0 is not valid" in done.stderr
    assert f"{second.parent.name}/config.xml" in done.stderr
