from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.evaluate.small_run import make_run

from nextgpt.cli.app import main
from nextgpt.evaluate.standard.exports import export_run
from nextgpt.evaluate.standard.run_folder import RunFolder
from nextgpt.media import read_audio


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    return make_run(tmp_path / "run", ("direct",))


def test_geneval_has_a_folder_with_samples_per_prompt(run: RunFolder, tmp_path: Path):
    result = export_run(run.path, "direct", "geneval", tmp_path / "out")
    assert result.num_media == 2 and dict(result.left_out) == {"no image in the answer": 6}
    assert sorted(str(path.relative_to(tmp_path / "out")) for path in (tmp_path / "out").glob("**/*.*")) == [
        "00000/metadata.jsonl", "00000/samples/0000.png", "00001/metadata.jsonl", "00001/samples/0000.png"
    ]  # fmt: skip
    assert json.loads((tmp_path / "out/00001/metadata.jsonl").read_text()) == {"prompt": "thing 4"}


def test_geneval_takes_the_metadata_and_numbers_of_its_own_prompts(run: RunFolder, tmp_path: Path):
    metadata = [{"tag": "colors", "include": [{"class": "x"}], "prompt": f"thing {n}"} for n in (9, 4)]
    (tmp_path / "prompts.jsonl").write_text("".join(json.dumps(line) + "\n" for line in metadata))
    result = export_run(run.path, "direct", "geneval", tmp_path / "out", geneval_prompts=tmp_path / "prompts.jsonl")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["00001"]
    assert json.loads((tmp_path / "out/00001/metadata.jsonl").read_text()) == metadata[1]
    assert result.left_out["the prompt is not one of GenEval's"] == 1


def test_vbench_names_videos_by_prompt(run: RunFolder, tmp_path: Path):
    assert export_run(run.path, "direct", "vbench", tmp_path / "out").num_media == 2
    names = sorted(path.name for path in (tmp_path / "out").glob("*.mp4"))
    assert names == ["thing 2-0.mp4", "thing 6-0.mp4"]
    assert json.loads((tmp_path / "out/prompts.json").read_text())["thing 2-0.mp4"] == "thing 2"


def test_audioldm_eval_has_pairs_of_equal_names(run: RunFolder, tmp_path: Path):
    reference = run.data / run.items[1].reference_media[0].path
    read_audio(reference).save(reference.with_suffix(".flac"))
    lines = (run.path / "items.jsonl").read_text().replace(reference.name, reference.with_suffix(".flac").name)
    (run.path / "items.jsonl").write_text(lines)
    (run.data / run.items[5].reference_media[0].path).unlink()
    result = export_run(run.path, "direct", "audioldm_eval", tmp_path / "out")
    assert result.num_media == 1 and result.left_out["no true audio"] == 1
    names = [{path.name for path in (tmp_path / "out" / side).iterdir()} for side in ("generated", "reference")]
    assert names == [{"item-1.wav"}, {"item-1.wav"}]
    assert read_audio(tmp_path / "out/reference/item-1.wav").sample_rate_hz == 16_000


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--layout", "geneva"], "Did you mean 'geneval'"),
        (["--layout", "vbench", "--system", "cascade"], "system 'cascade' is unknown"),
        (["--layout", "vbench", "--geneval-prompts", "x"], "for --layout geneval only"),
        (["--layout", "geneval", "--geneval-prompts", "x"], "is not GenEval's metadata"),
    ],
)
def test_mistakes_are_one_line_and_write_nothing(
    run: RunFolder, tmp_path: Path, options: list[str], message: str, capsys: pytest.CaptureFixture[str]
):
    assert main(["runs", "export", str(run.path), "--out", str(tmp_path / "out"), *options]) == 2
    printed = capsys.readouterr().err
    assert message in printed and printed.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_an_existing_folder_stays(run: RunFolder, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["runs", "export", str(run.path), "--out", str(run.path), "--layout", "vbench"]) == 2
    assert "exists" in capsys.readouterr().err
    assert (run.path / "run.json").is_file()


def test_long_prompts_and_separators_become_file_names(run: RunFolder, tmp_path: Path):
    text = (run.path / "items.jsonl").read_text()
    text = text.replace('"target_caption":"thing 2"', json.dumps({"target_caption": "a/b " + "ü" * 300})[1:-1])
    (run.path / "items.jsonl").write_text(text)
    export_run(run.path, "direct", "vbench", tmp_path / "out")
    longest = max((path.name for path in (tmp_path / "out").glob("*.mp4")), key=len)
    assert longest.startswith("a b ü") and len(longest.encode()) < 255
