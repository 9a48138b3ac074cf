from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from tests.evaluate.small_run import make_run

from nextgpt.cli.app import main
from nextgpt.evaluate.run_page.charts import Point, Scale, curve_chart, interval_chart, number
from nextgpt.evaluate.run_page.page import checkpoint_numbers, write_page
from nextgpt.evaluate.run_page.samples import choose_samples
from nextgpt.evaluate.standard.run_folder import RunFolder

SYSTEMS = ("cascade", "direct", "shuffled", "truth")


def score(run: RunFolder, *, has_item_values: bool = True) -> None:
    """Write scores as a run of standard tasks does."""
    rows = [row("clip_score", name, value) for name, value in zip(SYSTEMS, (0.2, 0.3, 0.1, 0.9), strict=True)]
    rows += [{**row("fid", "direct", 120.5), "low": None, "high": None, "published": "11.28 <b>"}]
    comparison = {"name": "clip_score", "systems": ["direct", "cascade"], "difference": 0.1, "low": 0.05, "high": 0.2}
    scores: dict[str, Any] = {"rows": rows, "comparisons": [{**comparison, "p_value": 0.01, "n": 8}], "notes": []}
    run.write_scores(scores, "")
    if has_item_values:
        values = {item.id: index / 10 for index, item in enumerate(run.items)}
        run.write_item_scores({"direct": {"clip_score": values}})


def row(name: str, system: str, value: float) -> dict[str, Any]:
    return {
        "name": name, "system": system, "value": value, "low": value - 0.05, "high": value + 0.05, "cases": 8,
        "judge": 0.9, "floor": 0.1, "left_out": {"no image in the answer": 1}, "parameters": {}, "published": "",
    }  # fmt: skip


class Links(HTMLParser):
    """Collects addresses, and elements that are not closed."""

    def __init__(self) -> None:
        super().__init__()
        self.links: set[str] = set()
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.links |= {value for name, value in attrs if name in ("src", "href") and value}
        if tag not in ("meta", "img", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_page_is_whole_and_shows_intervals_and_samples(tmp_path: Path):
    run = make_run(tmp_path / "all", SYSTEMS)
    score(run)
    page = write_page([run.path], tmp_path / "page", samples=2)
    text = page.read_text()
    parser = Links()
    parser.feed(text)
    assert parser.open == []
    assert parser.links and all((page.parent / link).is_file() for link in parser.links)
    assert not re.search(r"<script|https?://|url\(", text)
    for kind in ("<img", "<audio", "<video"):
        assert kind in text
    assert text.count('class="interval"') == 4
    assert "11.28 &lt;b&gt;" in text and "published (protocol unstated)" in text
    best, worst = text.split("<h4>Best</h4>")[1].split("<h4>Worst</h4>")
    assert re.findall(r"item-\d", best)[:2] == ["item-7", "item-6"]
    assert re.findall(r"<article><p class=\"help\">(item-\d)", worst) == ["item-0", "item-1"]


def test_runs_of_checkpoints_become_curves(tmp_path: Path):
    runs = []
    for step in (100, 200, 1000):
        run = make_run(tmp_path / f"run-{step}", ("direct",))
        manifest = run.manifest.model_copy(update={"model": f"checkpoints/{step:06d}"})
        (run.path / "run.json").write_text(manifest.model_dump_json())
        score(run)
        runs.append(run.path)
    text = write_page(runs, tmp_path / "page", samples=0).read_text()
    assert text.count("<polyline") == 3  # clip_score of two systems, fid of one
    assert "1000 = checkpoints/001000" in text
    assert len(re.search(r'<polyline points="([^"]+)"', text)[1].split()) == 3  # type: ignore[index]


def test_numbers_of_checkpoints():
    assert checkpoint_numbers(["a/1", "a/20", "a/3"]) == [1, 20, 3]
    assert checkpoint_numbers(["nano", "nano"]) == [1, 2]
    assert checkpoint_numbers(["v2/a", "v2/b"]) == [1, 2]


def test_samples_without_values_per_item_are_chosen_by_modalities(tmp_path: Path):
    run = make_run(tmp_path / "run")
    path = run.system_dir("direct") / "records.jsonl"
    lines = path.read_text().splitlines()
    lines[2] = json.dumps({"id": "item-2", "parts": []})
    path.write_text("\n".join(lines) + "\n")
    samples = choose_samples(run, ["cascade", "direct"], 3)
    assert samples is not None
    assert samples.wrong[0].item.id == "item-2" and samples.wrong[0].value == 0
    assert len(samples.right) == 3 and not {one.item.id for one in samples.right} & {"item-2"}


def test_charts_draw_what_they_are_given():
    scale = Scale.over([0.0, 1.0], 0, 100)
    assert scale(0.5) == 50 and 0 < scale(0) < scale(1) < 100
    assert 'x1="50.0"' in interval_chart(Point(0.6, 0.5, 0.7), scale, "<", [("floor", 0.5)])
    assert "&lt;" in interval_chart(Point(0.6), scale, "<")
    assert Scale.over([3.0], 0, 10)(3.0) == 5
    assert "NaN" not in curve_chart([("a", [Point(1.0, x=5)])], "one point")
    assert [number(value) for value in (None, float("nan"), 0.12345, 123.45)] == ["–", "–", "0.123", "123.5"]


def test_a_folder_without_runs_or_scores_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    run = make_run(tmp_path / "run")
    out = str(tmp_path / "page")
    for path, message in ((tmp_path / "nothing", "has no run"), (run.path, "was not scored")):
        assert main(["runs", "page", str(path), "--out", out]) == 2
        printed = capsys.readouterr().err
        assert message in printed and printed.count("\n") == 1
