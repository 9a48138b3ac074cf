"""The page itself: tables with intervals drawn, curves over runs, and samples to look at and listen to."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

from nextgpt.errors import ConfigError
from nextgpt.evaluate.run_page.charts import Point, Scale, curve_chart, interval_chart, number
from nextgpt.evaluate.run_page.samples import Sample, choose_samples
from nextgpt.evaluate.standard.items import EvalItem, MediumEntry, TextEntry
from nextgpt.evaluate.standard.run_folder import SCORES_FILE, RunFolder, is_run, open_run, write_file
from nextgpt.evaluate.standard.scoring import SHUFFLED, TRUTH
from nextgpt.media.save_media import wrap_write_errors
from nextgpt.serve.static_page import STATIC

PAGE_FILE, MEDIA_DIR = "index.html", "media"
STYLE = Path(__file__).with_name("page.css")
TAGS = {
    "image": '<a href="{0}"><img src="{0}" alt="{1}" loading="lazy"></a>',
    "audio": '<audio controls preload="none" src="{0}" aria-label="{1}"></audio>',
    "video": '<video controls loop preload="metadata" src="{0}" aria-label="{1}"></video>',
}
LEGEND = "Dashed: floor (shuffled answers; of FID, FD and FAD two true sets). Dotted: ceiling (true answers)."
Row = Mapping[str, Any]


@dataclass(frozen=True)
class ScoredRun:
    """A run with the content of its ``scores.json``."""

    run: RunFolder
    scores: Mapping[str, Any]

    @property
    def systems(self) -> tuple[str, ...]:
        """Systems in the order of the scores; the floor and the ceiling last."""
        return tuple(dict.fromkeys(row["system"] for row in self.scores["rows"]))


def write_page(paths: Sequence[Path], folder: Path, *, samples: int = 6) -> Path:
    """Write a page about runs, with the media that it shows, and return its path.

    Args:
        paths: Runs, or folders of runs such as those of ``all-small`` or of several checkpoints.
        samples: Right answers and wrong answers per run.

    Raises:
        ConfigError: A folder has no runs, or a run was not scored.
        MediaError: The page cannot be written.
    """
    runs = [scored for path in paths for scored in _read_runs(path)]
    with wrap_write_errors(folder):
        (folder / MEDIA_DIR).mkdir(parents=True, exist_ok=True)
        media = MediaCopies(folder)
        by_suite: dict[str, list[ScoredRun]] = {}
        for scored in runs:
            by_suite.setdefault(scored.run.manifest.suite, []).append(scored)
        parts = [_head(runs), *(part for suite in by_suite.values() for part in _suite(suite, media, samples))]
        write_file(folder / PAGE_FILE, "\n".join([*parts, "</main></body></html>", ""]))
    return folder / PAGE_FILE


class MediaCopies:
    """Copies media into the page's folder, each once."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._names: dict[Path, str] = {}

    def add(self, path: Path) -> str:
        """Return the address of a copy, relative to the page; empty if the file is missing."""
        if path not in self._names:
            name = f"{MEDIA_DIR}/{len(self._names):05d}{path.suffix}"
            if not path.is_file():
                return ""
            shutil.copyfile(path, self._folder / name)
            self._names[path] = name
        return self._names[path]


def _read_runs(path: Path) -> list[ScoredRun]:
    folders = [path] if is_run(path) else sorted(file.parent for file in path.glob("**/run.json"))
    if not folders:
        raise ConfigError(f"{path} has no run; expected a folder of nextgpt eval --out DIR. Check the path.")
    runs = []
    for folder in folders:
        try:
            scores = json.loads((folder / SCORES_FILE).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            raise ConfigError(f"{folder} was not scored: no valid {SCORES_FILE}. Run its nextgpt eval again.") from None
        runs.append(ScoredRun(open_run(folder), scores))
    return runs


def _head(runs: Sequence[ScoredRun]) -> str:
    title = ", ".join(dict.fromkeys(one.run.manifest.suite for one in runs))
    models = ", ".join(dict.fromkeys(one.run.manifest.model for one in runs))
    style = (STATIC / "base.css").read_text(encoding="utf-8") + STYLE.read_text(encoding="utf-8")
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8">'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{style}</style></head><body><main>"
        f"<h1>Evaluation of {escape(models)}</h1>"
    )


def _suite(runs: Sequence[ScoredRun], media: MediaCopies, samples: int) -> Iterator[str]:
    """Yield the sections of one suite: its last run in detail, and curves if there are several."""
    last = runs[-1]
    manifest = last.run.manifest
    yield f"<section><h2>{escape(manifest.suite)}</h2><p>{escape(manifest.protocol)}.</p>"
    facts = {"model": manifest.model, "items": len(last.run.items), "seed": manifest.seed, "data": manifest.data}
    left_out = {f"left out: {reason}": count for reason, count in manifest.left_out.items()}
    listed = (f"<dt>{escape(str(k))}</dt><dd>{escape(str(v))}</dd>" for k, v in (facts | left_out).items())
    yield f'<dl class="facts">{"".join(listed)}</dl>'
    if len(runs) > 1:
        yield _curves(runs)
    yield _table(last)
    yield _comparisons(last.scores)
    yield "".join(f"<p class=help>{escape(note)}</p>" for note in last.scores.get("notes", ()))
    yield _samples(last, media, samples)
    yield "</section>"


def _table(scored: ScoredRun) -> str:
    """Return the table of all metrics and systems; each metric has a scale of its own."""
    rows = []
    for metric in dict.fromkeys(row["name"] for row in scored.scores["rows"]):
        group = [row for row in scored.scores["rows"] if row["name"] == metric and row["value"] is not None]
        if not group:
            continue
        numbers = [n for row in group for n in (*_point(row).bounds, row["floor"], row["judge"]) if n is not None]
        scale = Scale.over(numbers, 8, 312)
        rows += [_table_row(row, scale, is_first=index == 0, span=len(group)) for index, row in enumerate(group)]
    head = "<tr><th>metric</th><th>system</th><th>value</th><th>95 % interval</th><th>n</th><th>drawn</th></tr>"
    legend = f'<p class="help">{LEGEND}</p>'
    body = "".join(rows)
    return f'<div class="table" tabindex="0"><table><thead>{head}</thead><tbody>{body}</tbody></table></div>{legend}'


def _table_row(row: Row, scale: Scale, *, is_first: bool, span: int) -> str:
    published = (
        f"<br><small>published (protocol unstated): {escape(row['published'])}</small>" if row["published"] else ""
    )
    name = f'<th rowspan="{span}" scope="rowgroup">{escape(row["name"])}{published}</th>' if is_first else ""
    marks = [(name, row[key]) for name, key in (("floor", "floor"), ("ceiling", "judge")) if row[key] is not None]
    label = f"{row['name']}, {row['system']}: {number(row['value'])}"
    interval = "–" if row["low"] is None else f"{number(row['low'])} – {number(row['high'])}"
    left_out = "; ".join(f"{count} left out: {reason}" for reason, count in row["left_out"].items() if count)
    title = f' title="{escape(left_out, quote=True)}"' if left_out else ""
    return (
        f"<tr>{name}<td>{escape(row['system'])}</td><td>{number(row['value'])}</td><td>{interval}</td>"
        f"<td{title}>{row['cases']}{'*' if left_out else ''}</td>"
        f"<td>{interval_chart(_point(row), scale, label, marks)}</td></tr>"
    )


def _point(row: Row, x: float = 0.0) -> Point:
    return Point(row["value"], row["low"], row["high"], x)


def _comparisons(scores: Mapping[str, Any]) -> str:
    rows = [
        f"<tr><th>{escape(one['name'])}</th><td>{escape(' − '.join(one['systems']))}</td>"
        f"<td>{number(one['difference'])}</td><td>{number(one['low'])} – {number(one['high'])}</td>"
        f"<td>{one['p_value']:.4f}</td></tr>"
        for one in scores.get("comparisons", ())
    ]
    if not rows:
        return ""
    head = "<tr><th>metric</th><th>systems</th><th>difference</th><th>95 % interval</th><th>p</th></tr>"
    return (
        f"<h3>Paired tests</h3><div class=table tabindex=0><table><thead>{head}</thead>"
        f"<tbody>{''.join(rows)}</tbody></table></div>"
    )


def _curves(runs: Sequence[ScoredRun]) -> str:
    """Return a chart per metric over the runs; runs of numbered checkpoints lie at their numbers."""
    xs = checkpoint_numbers([one.run.manifest.model for one in runs])
    charts = []
    for metric in dict.fromkeys(row["name"] for one in runs for row in one.scores["rows"]):
        curves: dict[str, list[Point]] = {}
        for x, one in sorted(zip(xs, runs, strict=True), key=lambda pair: pair[0]):
            for row in one.scores["rows"]:
                if row["name"] == metric and row["value"] is not None and row["system"] not in (TRUTH, SHUFFLED):
                    curves.setdefault(row["system"], []).append(_point(row, x))
        if curves:
            legend = "".join(f'<span class="key c{i % 6}">{escape(name)}</span>' for i, name in enumerate(curves))
            chart = curve_chart(list(curves.items()), f"{metric} over {len(runs)} runs")
            charts.append(f"<figure>{chart}<figcaption>{escape(metric)} {legend}</figcaption></figure>")
    names = ", ".join(f"{x:g} = {escape(one.run.manifest.model)}" for x, one in zip(xs, runs, strict=True))
    return f'<h3>Over runs</h3><div class="charts">{"".join(charts)}</div><p class="help">{names}</p>'


def checkpoint_numbers(models: Sequence[str]) -> list[float]:
    """Return the last number in each model's name if all differ, else 1, 2, 3, ..."""
    digit_groups = [re.findall(r"\d+", model) for model in models]
    numbers = [float(digits[-1]) if digits else None for digits in digit_groups]
    if None in numbers or len(set(numbers)) < len(numbers):
        return [float(index) for index in range(1, len(models) + 1)]
    return [number for number in numbers if number is not None]


def _samples(scored: ScoredRun, media: MediaCopies, count: int) -> str:
    selection = choose_samples(scored.run, scored.systems, count)
    if selection is None or not selection.right:
        return ""
    failed = f" {selection.num_failed} items have no answer." if selection.num_failed else ""
    parts = [
        f'<h3>Samples</h3><p class="help">Best and worst answers of {escape(selection.system)} by '
        f"{escape(selection.metric)}.{failed}</p>"
    ]
    for title, samples in (("Best", selection.right), ("Worst", selection.wrong)):
        shown = "".join(_sample(scored.run, sample, selection.metric, media) for sample in samples)
        parts.append(f"<h4>{title}</h4>{shown}" if samples else "")
    return "".join(parts)


def _sample(run: RunFolder, sample: Sample, metric: str, media: MediaCopies) -> str:
    item = sample.item
    request = "".join(_parts(message.parts, run.data, media) for message in item.request)
    cells = [("request", request), ("true answer", _truth(run, item, media))]
    for system, record in sample.records.items():
        if system != TRUTH:
            shown = _parts(record.parts, run.system_dir(system), media)
            cells.append((system, shown if record.error is None else f"<p class=wrong>{escape(record.error)}</p>"))
    value = "" if sample.value is None else f" · {escape(metric)} {number(sample.value)}"
    body = "".join(f"<div><h5>{escape(name)}</h5>{content}</div>" for name, content in cells if content)
    return f'<article><p class="help">{escape(item.id)}{value}</p><div class="cells">{body}</div></article>'


def _truth(run: RunFolder, item: EvalItem, media: MediaCopies) -> str:
    texts = "".join(f"<p>{escape(text)}</p>" for text in (item.references or (item.target_caption,)) if text)
    return _parts(item.reference_media, run.data, media) + texts


def _parts(parts: Sequence[TextEntry | MediumEntry], folder: Path, media: MediaCopies) -> str:
    shown = []
    for part in parts:
        if isinstance(part, TextEntry):
            shown.append(f'<p dir="auto">{escape(part.text)}</p>')
        elif address := media.add(folder / part.path):
            tag = TAGS.get(part.type, '<a href="{0}">{1}</a>')
            shown.append(tag.format(escape(address, quote=True), escape(part.type, quote=True)))
        else:
            shown.append(f"<p class=wrong>{escape(part.type)} is missing</p>")
    return "".join(shown)
