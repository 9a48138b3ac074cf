from __future__ import annotations

from pathlib import Path

import pytest

from nextgpt.cli.app import main
from nextgpt.cli.serve import is_loopback

OPTIONS = ("--host", "--api-key", "--allow-media-domains", "--max-waiting", "--engine", "--config")


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.1.5", "::", "example.org", "127.evil.example"])
def test_others_are_not_served_without_a_key(host: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["serve", "--host", host]) == 2
    said = capsys.readouterr().err
    assert "without a key" in said and said.count("\n") == 1


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.9.1", "localhost", "::1"])
def test_loopback_needs_no_key(host: str) -> None:
    assert is_loopback(host)


def test_an_unknown_model_is_one_line_and_status_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["serve", str(tmp_path)]) == 2
    assert capsys.readouterr().err.startswith("nextgpt: ")


def test_the_help_tells_the_options(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["serve", "--help"]) == 0
    told = capsys.readouterr().out
    assert all(option in told for option in OPTIONS)


def test_a_config_without_ray_is_a_mistake(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["serve", "--config", str(tmp_path / "steps.yaml")]) == 2
    assert "--engine ray" in capsys.readouterr().err
    assert main(["serve", "--engine", "ray", "--config", str(tmp_path / "steps.yaml")]) == 2
    assert "cannot be read" in capsys.readouterr().err
