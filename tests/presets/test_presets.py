"""Presets: the counts that the configs give are those of the published parts, and what is missing is told exactly."""

from __future__ import annotations

import json
import subprocess
import sys
from functools import cache

import pytest
import torch

from nextgpt.cli.app import main
from nextgpt.config import read_config
from nextgpt.errors import ModelError
from nextgpt.model.encoding import build_encoder
from nextgpt.model.model_dir import resolve_model_dir
from nextgpt.model.summary import summarize_model
from nextgpt.model.synthesis.spec import read_spec
from nextgpt.presets import PRESETS, installed_preset_dir, preset, presets_dir

TOWERS = {
    "vision": 632_829_440,
    "text": 354_032_641,
    "audio": 86_235_648,
    "depth": 21_871_872,
    "thermal": 86_211_072,
    "imu": 19_600_384,
}


FREE = {"apache-2.0", "mit"}


@cache
def counts(name: str) -> dict[str, int]:
    return {part.name: part.parameters for part in summarize_model(read_config(PRESETS[name]), PRESETS[name])}


@pytest.mark.parametrize(
    ("part", "parameters"),
    [
        ("encoder", 1_200_781_057),
        ("llm", 6_738_415_616),
        ("llm.lora", 33_554_432),
        ("input_projection", 4_198_400),
        ("output_projection.image", 31_958_784),
        ("output_projection.audio", 31_788_544),
        ("output_projection.video", 32_090_112),
        ("image.unet", 859_520_964),
        ("image.vae", 83_653_863),
        ("image.text_encoder", 123_060_480),
        ("video.text_encoder", 340_387_840),
    ],
)
def test_the_parts_of_the_paper_have_their_published_sizes(part, parameters):
    assert counts("paper")[part] == parameters


def test_audioldm_has_the_975_million_of_the_papers_table():
    audio = sum(parameters for part, parameters in counts("paper").items() if part.startswith("audio."))
    assert round(audio / 1e6) == 975


def test_the_second_version_takes_the_wider_conditions_of_stable_diffusion_2():
    assert counts("paper-v2")["output_projection.image"] == 32_090_112
    assert counts("paper-v2")["image.unet"] == 865_910_724


@pytest.mark.parametrize(
    ("part", "gigabytes", "bytes_a_parameter"),
    [
        ("llm", 8.045, 2),
        ("image.transformer", 24.62, 4),
        ("image.text_encoder", 8.045, 2),
        ("image.vae", 0.168, 2),
        ("audio.condition_encoder", 1.217, 2),
        ("audio.vae", 0.3374, 2),
        ("audio.text_encoder", 1.19, 2),
        ("video.transformer", 5.68, 4),
        ("video.text_encoder", 22.73, 4),
        ("video.vae", 0.508, 4),
    ],
)
def test_the_parts_of_the_open_preset_have_the_sizes_of_their_published_files(part, gigabytes, bytes_a_parameter):
    assert counts("open")[part] * bytes_a_parameter / 1e9 == pytest.approx(gigabytes, rel=5e-3)


def test_the_open_preset_is_free_in_every_part():
    parts = summarize_model(read_config(PRESETS["open"]), PRESETS["open"])
    assert {part.licence for part in parts if not part.trainable} <= FREE
    assert set(preset("open").licences) <= FREE


@pytest.mark.parametrize("name", PRESETS)
def test_output_projections_give_what_the_synthesizers_take_and_the_encoder_what_is_projected(name):
    config = read_config(PRESETS[name])
    for modality, row in config.synthesizers.items():
        taken = read_spec(PRESETS[name] / modality).condition_shape
        assert (row.output_projection.queries, row.output_projection.condition_width) == taken
    with torch.device("meta"):
        assert build_encoder(PRESETS[name] / "encoder").width == config.input_projection.encoder_width


def test_info_tells_the_paper_beside_its_published_numbers(capsys):
    assert main(["info", "paper", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    encoder = told["parts"][0]
    assert encoder["towers"] == TOWERS and sum(TOWERS.values()) == encoder["parameters"]
    assert told["trainable_besides_token_rows"] == 133_590_272
    assert told["trainable"] == 133_590_272 + 2 * 37 * 4096
    assert told["share"] == pytest.approx(0.0111, abs=5e-4)
    assert (told["published"]["trainable"], told["published"]["parameters"]) == ("131M", "12.275B")
    assert "floors each term" in told["published"]["note"]


@pytest.mark.slow
def test_info_reads_no_weights_and_takes_little_memory():
    script = (
        "import resource; from nextgpt.cli.app import main; status = main(['info', 'paper', '--json']);"
        "used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss;"
        "raise SystemExit(status or (f'{used} KiB' if used > 2 * 2**20 else 0))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", PRESETS)
def test_every_part_of_a_preset_names_its_source_and_licence(name):
    parts = summarize_model(read_config(PRESETS[name]), PRESETS[name])
    frozen = [part for part in parts if not part.trainable]
    assert all(part.licence != "unknown" and "/" in part.source.rstrip("/") for part in frozen)


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_without_weights_names_its_place_and_the_command_with_the_rest(name, monkeypatch, tmp_path):
    monkeypatch.setenv("NEXTGPT_HOME", str(tmp_path))
    with pytest.raises(ModelError, match=f"nextgpt models --setup {name}") as caught:
        resolve_model_dir(name)
    assert str(tmp_path / name) in str(caught.value)


@pytest.mark.parametrize("name", PRESETS)
def test_the_setup_of_a_preset_has_every_file_and_command(name, capsys):
    assert main(["models", "--setup", name]) == 0
    lines = capsys.readouterr().out.splitlines()
    told = "\n".join(lines)
    for download in preset(name).downloads:
        assert download.source in told and f"   {download.download_command}" in lines
        assert all(file in told for file in download.files)
        assert download.convert_command is None or f"   {download.convert_command}" in lines
    assert f"   {preset(name).final_command}" in lines


def test_the_setup_of_an_unknown_preset_is_one_line_and_status_2(capsys):
    assert main(["models", "--setup", "papre"]) == 2
    told = capsys.readouterr().err
    assert told.count("\n") == 1 and "'paper'" in told


def test_chat_with_a_preset_that_is_missing_is_one_line_and_status_2(monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("NEXTGPT_HOME", str(tmp_path))
    assert main(["chat", "paper", "--once", "hello"]) == 2
    told = capsys.readouterr().err
    assert told.count("\n") == 1 and "--setup paper" in told and len(told) < 300


def test_a_preset_that_was_made_is_found(monkeypatch, tmp_path):
    monkeypatch.setenv("NEXTGPT_HOME", str(tmp_path))
    presets_dir("paper").mkdir()
    (presets_dir("paper") / "config.json").write_text("{}")
    assert installed_preset_dir("paper") == tmp_path / "paper"


def test_an_unknown_preset_names_the_nearest():
    with pytest.raises(ModelError, match="Did you mean 'paper'"):
        preset("papr")
    with pytest.raises(ModelError, match="Did you mean 'paper'"):
        resolve_model_dir("papr")
