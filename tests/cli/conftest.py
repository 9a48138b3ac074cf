"""A model that replies from a script, and a terminal output that can be read."""

from __future__ import annotations

import io
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from nextgpt.cli import repl
from nextgpt.cli.terminal_output import Terminal, TerminalOutput
from nextgpt.testing.scripted_model import ScriptedModel, tiny_audio, tiny_image, tiny_video


@pytest.fixture
def scripted(monkeypatch: pytest.MonkeyPatch) -> ScriptedModel:
    """The model that every name loads."""
    model = ScriptedModel()
    monkeypatch.setattr(repl, "load_model", lambda name, placement, retrieval: repl.LoadedModel(model, seconds=1.0))
    return model


@dataclass
class Paper:
    """Standard output and standard error that can be read."""

    out: io.StringIO = field(default_factory=io.StringIO)
    err: io.StringIO = field(default_factory=io.StringIO)

    def output(self, terminal: Terminal = Terminal("none", has_blocks=False)) -> TerminalOutput:
        """An output that writes here."""
        return TerminalOutput(self.out, self.err, terminal)


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
        for medium, suffix in ((tiny_image(), ".png"), (tiny_audio(), ".wav"), (tiny_video(), ".mp4"))
    }
