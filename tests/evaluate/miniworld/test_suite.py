from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import PIL.Image
import pytest

from nextgpt.cli.app import main
from nextgpt.errors import ConfigError, ModelError
from nextgpt.evaluate.miniworld import suite
from nextgpt.evaluate.miniworld.contact_sheet import THUMBNAILS, TILE_PX, contact_sheet, thumbnail
from nextgpt.evaluate.miniworld.held_out import Miniworld, TextOnlyMiniworld
from nextgpt.evaluate.miniworld.metrics import METRICS
from nextgpt.evaluate.miniworld.report import to_dict, to_markdown, write_report
from nextgpt.evaluate.miniworld.suite import Results, RunOptions, SampleAnswer, evaluate
from nextgpt.evaluate.score import Score
from nextgpt.message import Reply
from nextgpt.modality import MODALITIES
from nextgpt.model.nextgpt import NextGPT
from nextgpt.model.synthesis.latent_diffusion import LatentDiffusion
from nextgpt.testing.model import write_tiny_model
from nextgpt.testing.scripted_model import tiny_audio, tiny_image, tiny_video

SAMPLES = (
    SampleAnswer("pictures", "Draw a very long story about a cat. " * 5, tiny_image(), tiny_image((0, 0, 255)), True),
    SampleAnswer("sounds", "Play it.", tiny_audio(), None, False),
    SampleAnswer("films", "Film it.", tiny_video(), tiny_video(), False),
)
SCORES = (Score("row", 0.91234, 0.8, 0.95, 200, 1.0), Score("other", 1, 0.9, 1, 40, None))
RESULTS = Results("tiny", "miniworld", SCORES, SAMPLES)
FEW = [row for row in METRICS if row.name in ("text_to_image.background", "questions", "indirect_image.true_caption")]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_model(tmp_path_factory.mktemp("tiny"))


def test_a_suite_gives_a_score_a_row_and_the_judge_is_right_about_the_truth(home: Path) -> None:
    progress: list[tuple[str, int, int]] = []
    scores, samples = Miniworld(FEW).evaluate(
        home, RunOptions(on_progress=lambda *stage: progress.append(stage)), limit=2, seed=0
    )
    assert [score.name for score in scores] == [row.name for row in FEW]
    assert all(score.cases == 2 and score.judge == 1 for score in scores)
    assert {sample.group for sample in samples} == {"text_to_image (direct)", "indirect_image (true_caption)"}
    assert ("question (direct)", 2, 2) in progress


def test_denoising_takes_as_many_steps_as_are_asked_for(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    taken: list[int | None] = []
    steps = LatentDiffusion.denoise

    def counted(self: LatentDiffusion, *given, **settings):
        taken.append(settings["num_inference_steps"])
        return steps(self, *given, **settings)

    monkeypatch.setattr(LatentDiffusion, "denoise", counted)
    rows = [row for row in METRICS if row.name.startswith("indirect_image")]
    Miniworld(rows).evaluate(home, RunOptions(num_inference_steps=3), limit=1, seed=0)
    assert taken and set(taken) == {3}


def test_the_model_itself_is_asked_for_as_many(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    task_cases: list[int | None] = []

    def chat_batch(self: NextGPT, conversations, samplings) -> list[Reply]:
        task_cases.extend(sampling.num_inference_steps for sampling in samplings)
        return [Reply(()) for _ in conversations]

    monkeypatch.setattr(NextGPT, "chat_batch", chat_batch)
    rows = [row for row in METRICS if row.name == "questions"]
    Miniworld(rows).evaluate(home, RunOptions(num_inference_steps=3), limit=2, seed=0)
    assert task_cases == [3, 3]


def test_words_are_not_denoised(home: Path) -> None:
    with pytest.raises(ConfigError, match="got --steps 3"):
        evaluate(str(home), "miniworld-text-only", limit=1, num_inference_steps=3)


def test_the_language_model_alone_is_measured_on_the_rows_of_the_direct_way(home: Path) -> None:
    suite_in_words = TextOnlyMiniworld()
    scores, _ = suite_in_words.evaluate(home, RunOptions(), limit=1, seed=0)
    assert [score.name for score in scores] == [row.name for row in METRICS if row.system == "direct"]
    assert all(score.judge == 1 for score in scores)


def test_a_suite_or_a_model_that_is_unknown_is_named(home: Path) -> None:
    with pytest.raises(ConfigError, match="'miniwolrd' is unknown.*'miniworld'"):
        evaluate(str(home), "miniwolrd")
    with pytest.raises(ModelError, match="'no-such-model' is unknown"):
        evaluate("no-such-model")


def test_values_are_those_of_the_contract() -> None:
    values = to_dict(RESULTS)
    assert list(values) == ["model", "suite", "rows"]
    assert values["rows"][0] == {"name": "row", "value": 0.9123, "low": 0.8, "high": 0.95, "cases": 200, "judge": 1.0}


def test_a_report_says_which_number_of_steps_was_asked_for() -> None:
    results = replace(RESULTS, num_inference_steps=50)
    assert to_dict(results)["num_inference_steps"] == 50
    assert to_markdown(results).startswith("| miniworld, 50 steps | tiny |")


def test_the_table_says_shares_in_per_cent() -> None:
    assert "| row | 91.2 | 80.0 – 95.0 | 200 | 100.0 |" in to_markdown(RESULTS)
    assert to_markdown(RESULTS).endswith("| other | 100.0 | 90.0 – 100.0 | 40 |  |\n")


def test_a_report_is_three_files_that_can_be_read(tmp_path: Path) -> None:
    values, table, sheet = write_report(RESULTS, tmp_path / "new" / "folder")
    assert json.loads(values.read_text()) == to_dict(RESULTS)
    assert table.read_text() == to_markdown(RESULTS)
    assert PIL.Image.open(sheet).format == "PNG"


def test_a_group_is_a_row_of_the_contact_sheet() -> None:
    three, one = contact_sheet(SAMPLES), contact_sheet(SAMPLES[:1])
    assert three.height == 3 * one.height and three.width == one.width
    assert contact_sheet(SAMPLES[:1] * 2).width == 2 * one.width


def test_every_modality_has_a_thumbnail() -> None:
    assert list(THUMBNAILS) == list(MODALITIES)
    assert all(thumbnail(medium).size == (TILE_PX, TILE_PX) for medium in (tiny_image(), tiny_audio(), tiny_video()))


def test_the_command_prints_one_json_object(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    task_cases = {}

    def measure(model: str, name: str, **settings: object) -> Results:
        print("a library that prints")
        task_cases.update(model=model, suite=name, **settings)
        return RESULTS

    monkeypatch.setattr(suite, "evaluate", measure)
    assert main(["eval", "some", "--limit", "3", "--seed", "5", "--out", str(tmp_path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == to_dict(RESULTS)
    assert (task_cases["model"], task_cases["suite"], task_cases["limit"], task_cases["seed"]) == (
        "some",
        "miniworld",
        3,
        5,
    )
    assert (tmp_path / "samples.png").is_file()


def test_an_unknown_suite_is_a_users_mistake(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["eval", "nano", "--suite", "world"]) == 2
    assert "expected one of miniworld" in capsys.readouterr().err
