"""Evaluation results as JSON, as a Markdown table and as files."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from nextgpt.evaluate.miniworld.suite import Results
from nextgpt.evaluate.score import Score
from nextgpt.media.save_media import wrap_write_errors

RESULTS_FILE, TABLE_FILE, SHEET_FILE = "results.json", "results.md", "samples.png"


def to_dict(results: Results) -> dict[str, Any]:
    """Convert results to the object that ``nextgpt eval --json`` prints."""
    rows = [
        {name: round(value, 4) if isinstance(value, float) else value for name, value in asdict(score).items()}
        for score in results.scores
    ]
    steps = results.num_inference_steps
    settings = {} if steps is None else {"num_inference_steps": steps}
    return {"model": results.model, "suite": results.suite, **settings, "rows": rows}


def to_markdown(results: Results) -> str:
    """Format results as a Markdown table; values and intervals in percent."""
    steps = results.num_inference_steps
    suite = results.suite if steps is None else f"{results.suite}, {steps} steps"
    heading = f"| {suite} | {results.model} | 95 % interval | cases | judge |"
    return "\n".join([heading, "| --- | ---: | :---: | ---: | ---: |", *map(_row, results.scores)]) + "\n"


def _row(score: Score) -> str:
    judge = "" if score.judge is None else f"{100 * score.judge:.1f}"
    interval = f"{100 * score.low:.1f} – {100 * score.high:.1f}"
    return f"| {score.name} | {100 * score.value:.1f} | {interval} | {score.cases} | {judge} |"


def write_report(results: Results, folder: Path) -> list[Path]:
    """Write JSON, table and contact sheet to ``folder``. Raises :class:`~nextgpt.errors.MediaError`."""
    from nextgpt.evaluate.miniworld.contact_sheet import contact_sheet

    with wrap_write_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / RESULTS_FILE).write_text(json.dumps(to_dict(results), indent=1, ensure_ascii=False) + "\n")
        (folder / TABLE_FILE).write_text(to_markdown(results))
    paths = [folder / RESULTS_FILE, folder / TABLE_FILE]
    if results.samples:
        contact_sheet(results.samples).save(folder / SHEET_FILE)
        paths.append(folder / SHEET_FILE)
    return paths
