from __future__ import annotations

from pathlib import Path

import pytest

from nextgpt.cli.app import main
from nextgpt.model.loading import BUILTIN_MODELS
from nextgpt.presets import PRESETS, preset


def test_every_embedded_model_is_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models"]) == 0
    first_words = [
        line.split()[0] for line in capsys.readouterr().out.splitlines() if not line.startswith(" ")
    ]
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
