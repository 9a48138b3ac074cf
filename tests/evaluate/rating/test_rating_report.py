"""Reports of simulated raters whose opinions are known."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest

from nextgpt.annotation.journal import Journal
from nextgpt.cli.app import main
from nextgpt.errors import ConfigError
from nextgpt.evaluate.rating.order import session_tasks
from nextgpt.evaluate.rating.report import PREFERENCE, evaluate_study, read_report, to_dict, to_markdown
from nextgpt.evaluate.rating.study import Answer, Judgement, Mode, Rater, Study, StudyFile, Task

ITEMS = tuple(f"i{index}" for index in range(20))
MEANS = {"good": 8.0, "bad": 4.0}


def study(mode: Mode) -> Study:
    keys = {"k1": "bad", "k2": "good"}
    return Study(mode=mode, seed=0, secret="s", per_rater=50, runs=(), systems=keys, items=ITEMS, left_out={"x": 2})


def judge(task: Task, study: Study, noise: random.Random, *, is_careless: bool = False) -> Judgement:
    """Return what a person would say who sees the systems' true quality, with noise; a careless one guesses."""

    def score(index: int) -> int:
        shown = task.shown[index]
        mean = {"true": 9.0, "shuffled": 1.5}.get(shown.source) or MEANS[study.systems[shown.system]]
        value = noise.uniform(1, 10) if is_careless else mean + noise.gauss(0, 0.7)
        return min(max(round(value), 1), 10)

    if study.mode == "scores":
        return Judgement(scores={"following": score(0), "rationality": score(0), "quality": 5})
    left, right = score(0), score(1)
    return Judgement(choice="tie" if left == right else "left" if left > right else "right")


def simulate(mode: Mode, raters: int = 3, *, careless: tuple[int, ...] = ()) -> StudyFile:
    file = StudyFile(study(mode), {}, {})
    prompts = {item: item for item in ITEMS}
    for index in range(raters):
        file.add(Rater(rater=f"r{index}", index=index))
        noise = random.Random(index)
        for position, task in enumerate(session_tasks(file.study, prompts, ITEMS, index)):
            judgement = judge(task, file.study, noise, is_careless=index in careless)
            file.add(Answer(rater=f"r{index}", position=position, task=task, judgement=judgement))
    return file


def test_scores_find_the_better_system_and_count_only_main_tasks():
    report = evaluate_study(simulate("scores"))
    good, bad = report.means["following"]["good"], report.means["following"]["bad"]
    assert good.value == pytest.approx(8, abs=0.3) and bad.value == pytest.approx(4, abs=0.3)
    assert good.low is not None and good.low < good.value < (good.high or 0)
    assert good.n + bad.n == 3 * 40
    test = next(one.test for one in report.comparisons if one.scale == "following")
    assert test.difference == pytest.approx(-4, abs=0.4) and test.p_value < 0.001 and test.n == 20
    same = next(one.test for one in report.comparisons if one.scale == "quality")
    assert same.difference == 0 and same.p_value > 0.5


def test_agreement_repeats_and_controls_are_those_of_careful_raters():
    report = evaluate_study(simulate("scores"))
    assert report.agreement["following"].value > 0.7
    assert report.repeats["following"].n == 6 and report.repeats["following"].value < 2
    assert report.controls.value == 1 and report.controls.n == 3 and report.failed_raters == ()
    assert set(report.drift["following"]) == {"r0", "r1", "r2"}
    assert all(abs(drift.value) < 1 for drift in report.drift["following"].values())


def test_careless_raters_lower_agreement_and_can_be_left_out():
    file = simulate("scores", 4, careless=(1, 3))
    failed = {task.task.shown[0].source: task for task in file.answered("r1").values() if task.task.kind == "control"}
    low = Judgement(scores={"following": 2, "rationality": 2, "quality": 2})
    file.add(failed["true"].model_copy(update={"judgement": low}))
    file.add(failed["shuffled"].model_copy(update={"judgement": low}))
    report = evaluate_study(file)
    assert "r1" in report.failed_raters
    careful = evaluate_study(file, passed_only=True)
    assert careful.num_raters == 4 - len(report.failed_raters)
    assert careful.agreement["following"].value > report.agreement["following"].value


def test_a_rater_who_gets_stricter_shows_drift():
    file = simulate("scores")
    for answer in list(file.answered("r2").values()):
        lower = max(1, answer.judgement.scores["following"] - (3 if answer.position >= 24 else 0))
        scores = answer.judgement.scores | {"following": lower}
        file.add(answer.model_copy(update={"judgement": Judgement(scores=scores)}))
    drift = evaluate_study(file).drift["following"]["r2"]
    assert drift.high is not None and drift.value < -1.5 and drift.high < 0


def test_pairs_give_strengths_and_a_test():
    report = evaluate_study(simulate("pairs"))
    strengths = report.means[PREFERENCE]
    assert strengths["good"].value > 0.9 > 0.1 > strengths["bad"].value
    test = report.comparisons[0].test
    assert (report.comparisons[0].first, test.p_value < 0.001) == ("bad", True) and test.difference < -0.8
    assert report.controls.value == 1 and report.repeats[PREFERENCE].value < 0.5


def test_without_true_answers_the_shuffled_one_is_compared_with_the_median():
    file = simulate("scores")
    for key, answer in list(file.answers.items()):
        if answer.task.shown[0].source == "true":
            del file.answers[key]
    assert evaluate_study(file).controls.n == 0
    file.study = file.study.model_copy(update={"has_true_answers": False})
    assert evaluate_study(file).controls.value == 1


def test_the_command_prints_tables_and_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    file = simulate("scores")
    path = tmp_path / "ratings.jsonl"
    with Journal(path) as journal:
        for row in (file.study, *file.raters.values(), *list(file.answers.values())[:30]):
            journal.append(row.model_dump())
    assert main(["rate", "report", str(path)]) == 0
    assert "| following | good |" in capsys.readouterr().out
    assert main(["rate", "report", str(path), "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["answers"] == 30 and printed["left_out"] == {"x": 2}
    assert "secret" not in json.dumps(printed)
    path.write_text("{}\n")
    assert main(["rate", "report", str(path)]) == 2
    assert "no study in its first line" in capsys.readouterr().err


def test_a_study_without_answers_has_a_report():
    report = evaluate_study(StudyFile(study("scores"), {}, {}))
    assert "0 raters" in to_markdown(report) and to_dict(report)["answers"] == 0
    assert "0 raters" in to_markdown(evaluate_study(StudyFile(study("pairs"), {}, {})))


def test_a_damaged_row_is_named(tmp_path: Path):
    path = tmp_path / "ratings.jsonl"
    path.write_text(study("scores").model_dump_json() + '\n{"type": "answer"}\n')
    with pytest.raises(ConfigError, match="row 2, rater"):
        read_report(path)
