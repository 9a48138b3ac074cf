from __future__ import annotations

from pathlib import Path

import pytest

from nextgpt.cli.app import main
from nextgpt.train import recipe as recipes

Printed = pytest.CaptureFixture[str]
RECIPE = """
kind: autoencoder
modality: image
model: {folder}/model
work: {folder}/work
architecture: {{}}
fit: {{steps: 2, batch_size: 1}}
"""


@pytest.fixture
def written(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.yaml"
    path.write_text(RECIPE.format(folder=tmp_path))
    return path


def test_a_recipe_runs_with_its_overrides_and_reports(
    written: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Printed
) -> None:
    ran = []

    def run(recipe: recipes.Recipe, report: recipes.Report) -> bool:
        ran.append(recipe)
        report({"loss": 0.25, "step": 3})
        return True

    monkeypatch.setattr(recipes, "run_recipe", run)
    assert main(["train", str(written), "fit.steps=4", "fit.learning_rate=1.0e-4"]) == 0
    assert (ran[0].fit.steps, ran[0].fit.learning_rate, ran[0].fit.batch_size) == (4, 1e-4, 1)
    assert capsys.readouterr().err == f"tiny 3/4 loss 0.25\ntiny: written to {tmp_path / 'model'}\n"


def test_what_is_done_is_said_to_be_done(
    written: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Printed
) -> None:
    monkeypatch.setattr(recipes, "run_recipe", lambda *_: False)
    assert main(["train", str(written)]) == 0
    assert capsys.readouterr().err == f"tiny: done before, stands in {tmp_path / 'model'}\n"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["missing.yaml"], "missing.yaml is no file"),
        ([], "Missing argument"),
        (["{}", "fit.stepz=3"], "Did you mean 'fit.steps'?"),
        (["{}", "fit.steps"], "expected key=value"),
        (["{}", "fit.steps=many"], "fit.steps"),
    ],
)
def test_a_wrong_recipe_is_one_line_and_status_2(
    arguments: list[str], said: str, written: Path, capsys: Printed
) -> None:
    assert main(["train", *(argument.format(written) for argument in arguments)]) == 2
    printed = capsys.readouterr()
    assert said in printed.err and printed.err.count("\n") == 1
