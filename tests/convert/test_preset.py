"""A preset's fetched parts become its model folder, whole or not at all."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from nextgpt.cli.app import main
from nextgpt.config import read_config
from nextgpt.convert import convert_parts
from nextgpt.errors import ModelError, WeightsError
from nextgpt.presets import presets_dir

PARTS = ("encoder/vision", "encoder/audio", "llm", "image/transformer", "audio/transformer", "video/transformer")


@pytest.fixture
def fetched(tmp_path: Path) -> Path:
    """What the commands of the preset leave behind, with tiny weights."""
    folder = tmp_path / "fetched"
    for part in PARTS:
        (folder / part).mkdir(parents=True)
        save_file({"weight": torch.ones(8)}, folder / part / "model.safetensors")
        (folder / part / "config.json").write_text('{"fetched": true}')
    (folder / "image" / ".cache").mkdir()
    return folder


def test_the_folder_is_the_preset_with_the_fetched_files(fetched: Path, tmp_path: Path):
    assert convert_parts("open", fetched, tmp_path / "open") == ["encoder", "llm", "image", "audio", "video"]
    made = tmp_path / "open"
    assert read_config(made).name == "open"
    assert json.loads((made / "llm" / "config.json").read_text()) == {"fetched": True}
    assert json.loads((made / "image" / "nextgpt.json").read_text())["condition_length"] == 64
    assert json.loads((made / "encoder" / "config.json").read_text())["kind"] == "siglip_clap"
    assert not (made / "image" / ".cache").exists()
    weights = made / "llm" / "model.safetensors"
    assert weights.samefile(fetched / "llm" / "model.safetensors"), "nothing lies there twice"


def test_the_command_writes_into_the_presets_own_place(fetched: Path, tmp_path: Path, monkeypatch, capsys):
    monkeypatch.setenv("NEXTGPT_HOME", str(tmp_path / "home"))
    assert main(["convert", "parts", "open", str(fetched)]) == 0
    assert (presets_dir("open") / "config.json").is_file() and str(presets_dir("open")) in capsys.readouterr().out


def test_a_part_that_is_missing_is_named_and_nothing_is_written(fetched: Path, tmp_path: Path):
    (fetched / "llm" / "model.safetensors").unlink()
    with pytest.raises(ModelError, match="llm has no weights"):
        convert_parts("open", fetched, tmp_path / "open")
    assert not (tmp_path / "open").exists()


def test_weights_that_are_cut_off_or_incomplete_are_named_and_nothing_is_written(fetched: Path, tmp_path: Path):
    path = fetched / "video" / "transformer" / "model.safetensors"
    whole = path.read_bytes()
    path.write_bytes(whole[:-4])
    with pytest.raises(WeightsError, match=r"video/transformer/model\.safetensors is damaged"):
        convert_parts("open", fetched, tmp_path / "open")
    path.write_bytes(whole)
    index = {"weight_map": {"a": "model.safetensors", "b": "model-2.safetensors"}}
    path.with_name("model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(ModelError, match=r"lacks model-2\.safetensors"):
        convert_parts("open", fetched, tmp_path / "open")
    assert not (tmp_path / "open").exists()


def test_an_unknown_preset_is_refused(fetched: Path, tmp_path: Path):
    with pytest.raises(ModelError, match="Did you mean 'open'"):
        convert_parts("opn", fetched, tmp_path / "open")
