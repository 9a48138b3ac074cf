"""Results of a study: means, preferences, agreement, paired tests, drift, repeats and controls."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from pathlib import Path
from statistics import fmean, median
from typing import Any

from nextgpt.annotation.journal import read_rows
from nextgpt.evaluate.metrics.ratings import Rating, Vote, bradley_terry, mean_rating, ordinal_alpha, rater_drift
from nextgpt.evaluate.metrics.result import MetricResult
from nextgpt.evaluate.metrics.statistics import PairedTest, mean_result, paired_permutation_test, share_result
from nextgpt.evaluate.rating.study import CRITERION_NAMES, Answer, Study, StudyFile

PREFERENCE = "preference"
"""Name of the scale of ``pairs``: -1 the first system of the alphabet, 0 equal, 1 the second."""
CONTROL_CRITERION = CRITERION_NAMES[0]


@dataclass(frozen=True)
class Value:
    """A rater's number: a score of a system, or a preference between two."""

    scale: str
    rater: str
    item: str
    systems: tuple[str, ...]
    value: float
    position: int


@dataclass(frozen=True)
class Comparison:
    """Paired test between two systems on the items that both were rated for."""

    scale: str
    first: str
    second: str
    test: PairedTest


@dataclass(frozen=True)
class RatingReport:
    """Everything that follows from a study's file."""

    study: Study
    num_raters: int
    num_answers: int
    failed_raters: tuple[str, ...]
    """Raters whose control failed."""
    means: dict[str, dict[str, MetricResult]]
    """Mean by scale and system; for ``pairs`` the Bradley-Terry strength."""
    agreement: dict[str, MetricResult]
    """Ordinal alpha by scale."""
    comparisons: tuple[Comparison, ...]
    drift: dict[str, dict[str, MetricResult]]
    """Change from the first to the second half, by scale and rater."""
    repeats: dict[str, MetricResult]
    """Mean absolute difference between a rating and its repeat, by scale."""
    controls: MetricResult
    """Share of raters whose control passed."""


def read_report(path: Path, *, passed_only: bool = False) -> RatingReport:
    """Evaluate a study's file. ``passed_only`` leaves out raters whose control failed. Raises :class:`ConfigError`."""
    return evaluate_study(StudyFile.from_rows(read_rows(path), str(path)), passed_only=passed_only)


def evaluate_study(file: StudyFile, *, passed_only: bool = False) -> RatingReport:
    """Evaluate a parsed study."""
    outcomes = dict(_control_outcomes(file))
    failed = tuple(rater for rater, passed in outcomes.items() if not passed)
    answers = [one for one in file.answers.values() if not (passed_only and one.rater in failed)]
    main = [value for one in answers if one.task.kind == "main" for value in _values(file.study, one)]
    scales = CRITERION_NAMES if file.study.mode == "scores" else (PREFERENCE,)
    by_scale = {scale: [value for value in main if value.scale == scale] for scale in scales}
    ratings = {
        scale: [Rating((v.item, v.systems), v.rater, v.value, v.position) for v in values]
        for scale, values in by_scale.items()
    }
    return RatingReport(
        study=file.study,
        num_raters=len({one.rater for one in answers}),
        num_answers=len(answers),
        failed_raters=failed,
        means={scale: _means(scale, values) for scale, values in by_scale.items()},
        agreement={scale: ordinal_alpha(values) for scale, values in ratings.items()},
        comparisons=tuple(one for scale, values in by_scale.items() for one in _compare(scale, values)),
        drift={scale: {str(k): v for k, v in rater_drift(values).items()} for scale, values in ratings.items()},
        repeats={scale: _repeats(file.study, answers, scale) for scale in scales},
        controls=share_result("controls", list(outcomes.values())),
    )


def _values(study: Study, answer: Answer) -> Iterator[Value]:
    names = [study.systems[shown.system] for shown in answer.task.shown]
    if study.mode == "scores":
        for scale, score in (answer.judgement.scores or {}).items():
            yield Value(scale, answer.rater, answer.task.item, (names[0],), score, answer.position)
        return
    sign = 1 if names == sorted(names) else -1
    value = sign * {"left": -1, "tie": 0, "right": 1}[answer.judgement.choice or "tie"]
    yield Value(PREFERENCE, answer.rater, answer.task.item, tuple(sorted(names)), value, answer.position)


def _means(scale: str, values: Sequence[Value]) -> dict[str, MetricResult]:
    if scale == PREFERENCE:
        winners = {-1: 0, 1: 1}
        votes = [
            Vote(v.item, v.systems[0], v.systems[1], None if v.value == 0 else v.systems[winners[int(v.value)]])
            for v in values
        ]
        return bradley_terry(votes) if votes else {}
    systems = sorted({system for value in values for system in value.systems})
    rows = {system: [v for v in values if v.systems == (system,)] for system in systems}
    return {
        system: mean_rating(scale, [Rating(v.item, v.rater, v.value, v.position) for v in ratings])
        for system, ratings in rows.items()
    }


def _compare(scale: str, values: Sequence[Value]) -> Iterator[Comparison]:
    """Test pairs of systems on their means per item; a preference is compared with none."""
    systems = sorted({system for value in values for system in value.systems})
    for first, second in combinations(systems, 2):
        if scale == PREFERENCE:
            means = _item_means([v for v in values if v.systems == (first, second)])
            left, right = [-value for value in means.values()], [0.0] * len(means)
        else:
            of_first, of_second = (_item_means([v for v in values if v.systems == (one,)]) for one in (first, second))
            items = [item for item in of_first if item in of_second]
            left, right = [of_first[item] for item in items], [of_second[item] for item in items]
        yield Comparison(scale, first, second, paired_permutation_test(left, right))


def _item_means(values: Sequence[Value]) -> dict[str, float]:
    by_item: dict[str, list[float]] = {}
    for value in values:
        by_item.setdefault(value.item, []).append(value.value)
    return {item: fmean(ratings) for item, ratings in by_item.items()}


def _repeats(study: Study, answers: Sequence[Answer], scale: str) -> MetricResult:
    originals = {(one.rater, one.task.item, one.task.shown): one for one in answers if one.task.kind == "main"}
    differences = []
    for repeat in (one for one in answers if one.task.kind == "repeat"):
        original = originals.get((repeat.rater, repeat.task.item, repeat.task.shown[::-1]))
        if original is not None:
            pair = [v.value for one in (original, repeat) for v in _values(study, one) if v.scale == scale]
            differences.append(abs(pair[0] - pair[1]))
    return mean_result("repeats", differences)


def _control_outcomes(file: StudyFile) -> Iterator[tuple[str, bool]]:
    """Yield each rater with a complete control, and whether the true answer won.

    Without true answers, the shuffled one has to be below the median of the rater's scores.
    """
    for rater in file.raters:
        answers = list(file.answered(rater).values())
        controls = [one for one in answers if one.task.kind == "control"]
        if file.study.mode == "pairs":
            for one in controls:
                sides = dict(zip(("left", "right"), one.task.shown, strict=True))
                winner = sides.get(one.judgement.choice or "")
                yield rater, winner is not None and winner.source == "true"
            continue
        control_scores = {one.task.shown[0].source: _control_score(one) for one in controls}
        main = [_control_score(one) for one in answers if one.task.kind == "main"]
        if file.study.has_true_answers and len(control_scores) == 2:
            yield rater, control_scores["shuffled"] < control_scores["true"]
        elif not file.study.has_true_answers and control_scores and main:
            yield rater, control_scores["shuffled"] < median(main)


def _control_score(answer: Answer) -> int:
    return (answer.judgement.scores or {})[CONTROL_CRITERION]


def to_dict(report: RatingReport) -> dict[str, Any]:
    """Convert a report to the object that ``nextgpt rate report --json`` prints; the secret stays in the file."""
    return {
        "mode": report.study.mode,
        "items": len(report.study.items),
        "left_out": report.study.left_out,
        "raters": report.num_raters,
        "answers": report.num_answers,
        "failed_raters": list(report.failed_raters),
        "means": _results(report.means),
        "agreement": {scale: result.to_dict() for scale, result in report.agreement.items()},
        "comparisons": [
            {"scale": one.scale, "first": one.first, "second": one.second, **asdict(one.test)}
            for one in report.comparisons
        ],
        "drift": _results(report.drift),
        "repeats": {scale: result.to_dict() for scale, result in report.repeats.items()},
        "controls": report.controls.to_dict(),
    }


def _results(tables: dict[str, dict[str, MetricResult]]) -> dict[str, Any]:
    return {scale: {name: result.to_dict() for name, result in row.items()} for scale, row in tables.items()}


def to_markdown(report: RatingReport) -> str:
    """Format a report as Markdown tables."""
    left_out = "".join(f", {count} left out ({reason})" for reason, count in report.study.left_out.items())
    failed = f"; control failed: {', '.join(report.failed_raters)}" if report.failed_raters else ""
    lines = [
        f"{report.num_raters} raters, {report.num_answers} answers, {len(report.study.items)} items{left_out}.",
        f"Controls passed: {_interval(report.controls)} of {report.controls.n}{failed}.",
        "",
        "| scale | system | value | 95 % interval | ratings |",
        "| --- | --- | ---: | :---: | ---: |",
    ]
    for scale, row in report.means.items():
        lines += [
            f"| {scale} | {system} | {result.value:.2f} | {_bounds(result)} | {result.n} |"
            for system, result in row.items()
        ]
    lines += [
        "",
        "| scale | comparison | difference | 95 % interval | p | items |",
        "| --- | --- | ---: | :---: | ---: | ---: |",
    ]
    lines += [
        f"| {one.scale} | {one.first} − {one.second} | {one.test.difference:+.2f} "
        f"| {one.test.low:+.2f} – {one.test.high:+.2f} | {one.test.p_value:.4f} | {one.test.n} |"
        for one in report.comparisons
    ]
    lines += ["", "| scale | ordinal alpha | difference at repeats | drift by rater |", "| --- | ---: | ---: | --- |"]
    lines += [
        f"| {scale} | {_interval(alpha)} | {_interval(report.repeats[scale])} "
        f"| {', '.join(f'{rater} {_interval(drift)}' for rater, drift in report.drift[scale].items())} |"
        for scale, alpha in report.agreement.items()
    ]
    return "\n".join(lines) + "\n"


def _bounds(result: MetricResult) -> str:
    return "–" if result.low is None or result.high is None else f"{result.low:.2f} – {result.high:.2f}"


def _interval(result: MetricResult) -> str:
    if result.n == 0 or result.value != result.value:
        return "–"
    bounds = "" if result.low is None else f" ({_bounds(result)})"
    return f"{result.value:.2f}{bounds}"
