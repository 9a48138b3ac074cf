"""Scores of a run as JSON and as a Markdown table: value, interval, n, floor, ceiling, every system, published."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from nextgpt.evaluate.standard.items import EvalItem
from nextgpt.evaluate.standard.protocols import Protocol
from nextgpt.evaluate.standard.result_store import ScoreRow
from nextgpt.evaluate.standard.run_folder import RunManifest
from nextgpt.evaluate.standard.scoring import SHUFFLED, TRUTH, Comparison, Scores

DIGITS = 4
PUBLISHED = "published (protocol unstated)"


def scores_to_dict(
    manifest: RunManifest, protocol: Protocol, scores: Scores, items: Sequence[EvalItem]
) -> dict[str, Any]:
    """Return the content of ``scores.json``.

    Each row has the keys of every evaluation: ``name``, ``value``, ``low``, ``high``, ``cases``, and ``judge`` (the
    value of true answers). Its own keys are ``system``, ``floor``, ``left_out``, ``parameters``, ``published``.
    """
    rows = [_row_to_dict(row, scores.rows, protocol) for row in scores.rows]
    run = manifest.model_dump(include={"seed", "limit", "num_inference_steps", "data_fingerprint", "left_out"})
    return {
        "model": manifest.model,
        "suite": manifest.suite,
        "protocol": protocol.about,
        "run": {**run, "data_sources": dict(Counter(item.data_source for item in items))},
        "rows": rows,
        "comparisons": [_comparison_to_dict(comparison) for comparison in scores.comparisons],
        "notes": list(scores.notes),
    }


def _row_to_dict(row: ScoreRow, rows: Sequence[ScoreRow], protocol: Protocol) -> dict[str, Any]:
    result = row.result.to_dict()
    return {
        "name": result["name"],
        "system": row.system,
        "value": _rounded(result["value"]),
        "low": _rounded(result["low"]),
        "high": _rounded(result["high"]),
        "cases": result["n"],
        "judge": _rounded(_value_of(rows, TRUTH, result["name"])),
        "floor": _rounded(_floor(rows, row)),
        "left_out": result["left_out"],
        "parameters": {name: _plain(value) for name, value in result["parameters"].items()},
        "published": protocol.published.get(row.metric, ""),
    }


def scores_to_markdown(content: Mapping[str, Any]) -> str:
    """Format the content of ``scores.json``: a row per metric, a column per system."""
    rows = content["rows"]
    systems = list(dict.fromkeys(row["system"] for row in rows if row["system"] not in (TRUTH, SHUFFLED)))
    shown = [*systems, *([] if systems else [TRUTH])]
    heading = ["metric", *shown, "n", "floor", "ceiling", PUBLISHED]
    lines = [f"| {' | '.join(heading)} |", f"| --- |{' ---: |' * (len(heading) - 2)} --- |"]
    for name in dict.fromkeys(row["name"] for row in rows):
        by_system = {row["system"]: row for row in rows if row["name"] == name}
        lines.append(f"| {' | '.join(_cells(name, by_system, shown))} |")
    title = f"**{content['suite']}**, {content['model']}. {content['protocol']}."
    return "\n".join([title, "", *lines, "", *_remarks(content), ""])


def all_to_markdown(content: Mapping[str, Any]) -> str:
    """Format the scores of one suite, or of several."""
    return "\n".join(map(scores_to_markdown, content.get("suites", [content])))


def _cells(name: str, by_system: Mapping[str, Mapping[str, Any]], shown: Sequence[str]) -> Iterator[str]:
    yield name
    yield from (_value_cell(by_system.get(system)) for system in shown)
    present = [by_system[system] for system in shown if system in by_system]
    first = present[0] if present else next(iter(by_system.values()))
    yield " / ".join(dict.fromkeys(str(row["cases"]) for row in present)) or str(first["cases"])
    yield _number(first["floor"])
    yield _number(first["judge"])
    yield first["published"]


def _value_cell(row: Mapping[str, Any] | None) -> str:
    if row is None or row["value"] is None:
        return "–"
    interval = "" if row["low"] is None else f" ({_number(row['low'])} – {_number(row['high'])})"
    return _number(row["value"]) + interval


def _remarks(content: Mapping[str, Any]) -> Iterator[str]:
    """Yield lines about extractors, left-out items, paired tests and metrics that were not computed."""
    extractors = dict.fromkeys(
        f"{row['parameters']['extractor']} ({row['parameters']['weights']})"
        for row in content["rows"]
        if "extractor" in row["parameters"]
    )
    if sources := content["run"].get("data_sources"):  # the name of a suite does not say which corpus it read
        yield f"- Data: {', '.join(f'{count} items in the form of {name}' for name, count in sources.items())}."
    if extractors:
        yield f"- Extractors: {', '.join(extractors)}."
    for reason, count in content["run"]["left_out"].items():
        if count:
            yield f"- Not sampled from: {count} ({reason})."
    left_out: dict[tuple[str, int, str], list[str]] = {}
    for row in content["rows"]:
        for reason, count in row["left_out"].items():
            if count:
                left_out.setdefault((row["system"], count, reason), []).append(row["name"])
    for (system, count, reason), names in left_out.items():
        yield f"- Left out of {', '.join(dict.fromkeys(names))}, {system}: {count} ({reason})."
    for test in content["comparisons"]:
        first, second = test["systems"]
        yield (
            f"- {test['name']}, {first} − {second}: {_number(test['difference'])} "
            f"({_number(test['low'])} – {_number(test['high'])}), p = {test['p_value']:.3f}, n = {test['n']}."
        )
    yield from (f"- Not computed: {note}" for note in content["notes"])


def _comparison_to_dict(comparison: Comparison) -> dict[str, Any]:
    test = comparison.test
    return {
        "name": comparison.name,
        "systems": list(comparison.systems),
        "difference": _rounded(test.difference),
        "low": _rounded(test.low),
        "high": _rounded(test.high),
        "p_value": _rounded(test.p_value),
        "n": test.n,
    }


def _floor(rows: Sequence[ScoreRow], row: ScoreRow) -> float | None:
    """Return the metric's own floor (real against real), or else the value of shuffled answers."""
    own = row.result.parameters.get("floor")
    if isinstance(own, int | float) and math.isfinite(own) and row.metric in OWN_FLOORS:
        return float(own)
    return _value_of(rows, SHUFFLED, row.result.name)


OWN_FLOORS = ("fid", "fd", "fad")
"""Distances whose floor is that of two true sets; shuffled true media would score as the true ones."""


def _value_of(rows: Sequence[ScoreRow], system: str, name: str) -> float | None:
    return next((row.result.value for row in rows if (row.system, row.result.name) == (system, name)), None)


def _rounded(value: float | None) -> float | None:
    return round(float(value), DIGITS) if value is not None and math.isfinite(value) else None


def _number(value: float | None) -> str:
    if value is None:
        return "–"
    return f"{value:.3f}" if abs(value) < 10 else f"{value:.1f}"


def _plain(value: Any) -> Any:
    """Return a JSON value."""
    if isinstance(value, float):
        return _rounded(value)
    return value if isinstance(value, str | int | list | tuple | dict | None) else str(value)
