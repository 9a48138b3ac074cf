from __future__ import annotations

from pathlib import Path

import pytest

from nextgpt.cli.app import main
from nextgpt.train.logging import MetricsCallback
from nextgpt.train.parameter_report import ParameterCount
from nextgpt.train.recipe import BaseRecipe

Printed = pytest.CaptureFixture[str]
RECIPE = """
kind: autoencoder
modality: image
model: {folder}/model
work: {folder}/work
architecture: {{}}
fit: {{max_steps: 40, batch_size: 2}}
"""


@pytest.fixture
def written(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.yaml"
    path.write_text(RECIPE.format(folder=tmp_path))
    return path


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch) -> list[BaseRecipe]:
    """The recipes that were run, each of which took one step of thirty and wrote a file."""
    recipes: list[BaseRecipe] = []

    def run(recipe: BaseRecipe, report: MetricsCallback) -> bool:
        recipes.append(recipe)
        report({"loss": 0.25, "absolute_error": 0.5, "step": 30, "samples_per_s": 2.0})
        (recipe.model / "vae").mkdir(parents=True)
        (recipe.model / "vae" / "weights").write_bytes(bytes(20_000))
        return True

    monkeypatch.setattr("nextgpt.train.recipe.run_recipe", run)
    return recipes


def test_a_recipe_runs_with_its_overrides_tells_how_far_it_is_and_what_it_wrote(
    written: Path, tmp_path: Path, ran: list[BaseRecipe], capsys: Printed
) -> None:
    assert main(["train", str(written), "fit.max_steps=90", "fit.learning_rate=1.0e-4"]) == 0
    assert (ran[0].fit.max_steps, ran[0].fit.learning_rate, ran[0].fit.batch_size) == (90, 1e-4, 2)
    printed = capsys.readouterr()
    assert printed.err == "tiny 30/90 loss 0.25, 2 samples/s, 1 min 0 s left\n"
    assert printed.out == f"wrote {tmp_path}/model/vae: weights (0.02 MB)\n"


def test_what_is_told_is_appended_to_a_log(
    written: Path, tmp_path: Path, ran: list[BaseRecipe], capsys: Printed
) -> None:
    log = tmp_path / "logs" / "log.txt"
    log.parent.mkdir()
    log.write_text("before\n")
    assert main(["train", str(written), "--log", str(log)]) == 0
    before, step, wrote = log.read_text().splitlines()
    assert before == "before"
    assert step.endswith(" tiny 30/40 loss 0.25, 2 samples/s, 0 min 10 s left")
    assert " wrote " in wrote


def test_a_finished_recipe_says_so(
    written: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Printed
) -> None:
    monkeypatch.setattr("nextgpt.train.recipe.run_recipe", lambda *_: False)
    assert main(["train", str(written)]) == 0
    assert capsys.readouterr().out == (
        f"tiny: already finished with this recipe; delete {tmp_path / 'work'} to train it again\n"
    )


def test_a_dry_run_shows_what_would_be_trained_and_trains_nothing(
    written: Path, ran: list[BaseRecipe], monkeypatch: pytest.MonkeyPatch, capsys: Printed
) -> None:
    counts = [ParameterCount("head", 1200, 0), ParameterCount("trunk", 30, 45_000)]
    monkeypatch.setattr("nextgpt.nano.autoencoder.count_parameters", lambda recipe: counts)
    assert main(["train", str(written), "--dry-run"]) == 0
    rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert rows == [
        ["component", "trained", "frozen"],
        ["head", "1,200", "0"],
        ["trunk", "30", "45,000"],
        ["total", "1,230", "45,000"],
    ]
    assert not ran


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["missing.yaml"], "missing.yaml is not a file"),
        ([], "Missing argument"),
        (["{}", "fit.max_stepz=3"], "Did you mean 'fit.max_steps'?"),
        (["{}", "fit.max_steps"], "expected key=value"),
        (["{}", "fit.max_steps=many"], "fit.max_steps"),
    ],
)
def test_a_wrong_recipe_is_one_line_and_status_2(
    arguments: list[str], said: str, written: Path, capsys: Printed
) -> None:
    assert main(["train", *(argument.format(written) for argument in arguments)]) == 2
    printed = capsys.readouterr()
    assert said in printed.err and printed.err.count("\n") == 1
