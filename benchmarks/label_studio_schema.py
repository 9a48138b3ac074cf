"""Check an export for Label Studio with Label Studio's own validator, and write annotations as it would export them.

label-studio-sdk needs an environment of its own, whose Python runs this file:

    nextgpt rate export RUN --out ratings.jsonl --to label-studio
    python3 -m venv sdk && sdk/bin/pip install label-studio-sdk
    sdk/bin/python benchmarks/label_studio_schema.py label-studio --annotations annotations.json
    nextgpt rate import annotations.json --out ratings.jsonl

Configurations, tasks and random annotations of each task are validated; the annotations come from the SDK, so the
import reads a form that is not our own.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
from pathlib import Path
from typing import Any

from label_studio_sdk.label_interface import LabelInterface


def check_form(folder: Path) -> tuple[list[str], list[dict[str, Any]]]:
    """Validate a project's configuration and tasks; return the problems, and the tasks with an annotation each."""
    interface = LabelInterface((folder / "config.xml").read_text(encoding="utf-8"))
    try:
        interface.validate()
    except Exception as error:  # the SDK raises errors of several classes
        return [f"{folder.name}/config.xml: {error}"], []
    problems, annotated = [], []
    for number, task in enumerate(json.loads((folder / "tasks.json").read_text(encoding="utf-8"))):
        annotation = interface.generate_sample_annotation()
        for kind, is_valid in (
            ("task", interface.validate_task(task)),
            ("annotation", interface.validate_annotation(annotation)),
        ):
            if not is_valid:
                problems.append(f"{folder.name}/tasks.json: {kind} {number} is not valid")
        annotation |= {"id": number, "completed_by": 1, "created_at": "2026-01-01T00:00:00.000000Z"}
        annotated.append({"id": number, **task, "annotations": [annotation]})
    return problems, annotated


def main() -> None:
    """Print the number of valid tasks, and each problem."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="what `nextgpt rate export … --to` wrote")
    parser.add_argument("--annotations", type=Path, help="write the tasks with annotations here")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    random.seed(arguments.seed)
    problems: list[str] = []
    annotated: list[dict[str, Any]] = []
    configurations = sorted(arguments.folder.glob("*/config.xml"))
    for configuration in configurations:
        found, tasks = check_form(configuration.parent)
        problems += found
        annotated += tasks
    if arguments.annotations:
        arguments.annotations.write_text(json.dumps(annotated), encoding="utf-8")
    print(f"{len(configurations)} configurations, {len(annotated)} tasks, {len(problems)} problems")
    sys.exit("\n".join(problems) or (not annotated and f"{arguments.folder} has no */config.xml with tasks") or 0)


if __name__ == "__main__":
    main()
