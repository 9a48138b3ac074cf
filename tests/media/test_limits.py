"""Limits for reading a file can be set from everywhere that reads files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from nextgpt.cli.app import main
from nextgpt.errors import ConfigError, MediaError
from nextgpt.media import read_video
from nextgpt.media.limits import LIMITS_VARIABLE, MediaLimits, parse_limits
from nextgpt.message import Video
from nextgpt.serve.settings import ServerSettings, parse_server_limits
from nextgpt.train.recipe import BaseRecipe


@pytest.fixture
def video(tmp_path: Path) -> Path:
    return Video(np.zeros((12, 16, 16, 3), np.uint8), 8.0).save(tmp_path / "a.mp4")


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(LIMITS_VARIABLE, "frames=10")


def test_the_environment_sets_the_default_and_arguments_go_before(video: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(MediaError, match="at most 10. .*raise the limit frames"):
        read_video(video)
    assert len(read_video(video, limits=MediaLimits()).frames) == 12
    monkeypatch.setenv(LIMITS_VARIABLE, "frames=12, time_s=5.5")
    assert len(read_video(video).frames) == 12
    assert MediaLimits.default() == MediaLimits(frames=12, time_s=5.5)


def test_a_recipe_sets_the_default_of_its_process(video: Path) -> None:
    values = {"kind": "x", "model": "m", "work": "w", "fit": {"max_steps": 1, "batch_size": 1}}
    BaseRecipe.model_validate(values | {"media_limits": {"frames": 20_000_000}}).apply_media_limits()
    assert MediaLimits.default() == MediaLimits(frames=20_000_000)


def test_the_server_takes_the_same_names() -> None:
    settings = ServerSettings(**parse_server_limits(["frames=3000", "duration_s=500"]))
    assert (settings.media_limits.frames, settings.media_limits.duration_s) == (3000, 500.0)
    with pytest.raises(ConfigError, match="samples"):
        parse_server_limits(["samples=5"])


@pytest.mark.parametrize("setting", ["frams=3", "frames=many", "frames=0", "frames", "time_s=nan"])
def test_wrong_limits_are_one_line(setting: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ConfigError):
        parse_limits((setting,))
    assert main(["chat", "nano", "--once", "hi", "--media-limit", setting]) == 2
    assert "media limit" in capsys.readouterr().err
