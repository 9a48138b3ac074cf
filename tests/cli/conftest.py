"""A model that answers from a script, and a screen that can be read."""

from __future__ import annotations

import io
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from nextgpt.cli import loading
from nextgpt.cli.screen import Screen
from nextgpt.cli.terminal import Terminal
from nextgpt.testing.scripted import ScriptedModel, film, picture, sound


@pytest.fixture
def scripted(monkeypatch: pytest.MonkeyPatch) -> ScriptedModel:
    """The model that every name loads."""
    model = ScriptedModel()
    monkeypatch.setattr(loading, "load", lambda name, placement: loading.Loaded(model, seconds=1.0))
    return model


@dataclass
class Paper:
    """A screen whose two outputs can be read."""

    out: io.StringIO = field(default_factory=io.StringIO)
    err: io.StringIO = field(default_factory=io.StringIO)

    def screen(self, terminal: Terminal = Terminal("none", has_blocks=False)) -> Screen:
        """A screen that writes here."""
        return Screen(self.out, self.err, terminal)


@pytest.fixture
def paper() -> Paper:
    """Where a chat is written."""
    return Paper()


@pytest.fixture
def media_files(tmp_path: Path) -> dict[str, Path]:
    """A file of every modality."""
    folder = tmp_path / "given media"
    folder.mkdir()
    return {
        medium.modality: medium.save(folder / f"a {medium.modality}{suffix}")
        for medium, suffix in ((picture(), ".png"), (sound(), ".wav"), (film(), ".mp4"))
    }
