from __future__ import annotations

import io
import json
import tempfile
from pathlib import Path

import pytest

from nextgpt.cli import repl
from nextgpt.cli.app import main
from nextgpt.cli.repl import LoadedModel
from nextgpt.errors import ModelError
from nextgpt.testing.scripted_model import ScriptedModel

Printed = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def temporary_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where temporary folders are made."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


def test_json_is_one_object_of_the_promised_form(scripted: ScriptedModel, tmp_path: Path, capsys: Printed) -> None:
    assert main(["chat", "--once", "hello", "--json", "--seed", "7", "--out", str(tmp_path / "out")]) == 0
    printed = capsys.readouterr()
    assert json.loads(printed.out) == {
        "model": "nano",
        "seed": 7,
        "parts": [
            {"type": "text", "text": "Look: here"},
            {"type": "image", "path": str(tmp_path / "out" / "01-image.png")},
            {"type": "audio", "path": str(tmp_path / "out" / "02-audio.wav")},
            {"type": "text", "text": "Nice?"},
        ],
        "dropped": ["half a film"],
        "timings_s": {
            "load": 1.0, "encoding": 0.25, "llm": 0.5, "output_projection": 0.0,
            "image": 0.0, "audio": 0.0, "video": 0.0, "total": 1.75,
        },
    }  # fmt: skip
    assert "a library that prints" in printed.err
    assert (tmp_path / "out" / "01-image.png").is_file()


def test_once_shows_the_answer_and_where_its_media_are(
    scripted: ScriptedModel, tmp_path: Path, capsys: Printed
) -> None:
    assert main(["chat", "--once", "hello", "--out", str(tmp_path)]) == 0
    assert capsys.readouterr().out.splitlines()[1] == f"[image: {tmp_path / '01-image.png'}]"


def test_what_was_lost_of_a_file_is_said(
    scripted: ScriptedModel, tmp_path: Path, media_files: dict[str, Path], capsys: Printed
) -> None:
    path = media_files["audio"]
    path.write_bytes(path.read_bytes()[:-400])
    assert main(["chat", "--once", "hello", "--audio", str(path), "--json", "--out", str(tmp_path / "out")]) == 0
    printed = capsys.readouterr()
    assert "a audio.wav is damaged: it ends after " in printed.err
    assert json.loads(printed.out)["parts"]


def test_given_media_and_history_reach_the_model(
    scripted: ScriptedModel, tmp_path: Path, media_files: dict[str, Path]
) -> None:
    history = tmp_path / "history.json"
    history.write_text('[{"role": "user", "parts": [{"type": "text", "text": "before"}]}]')
    given = [word for modality, path in media_files.items() for word in (f"--{modality}", str(path))]
    assert main(["chat", "--once", "now", "--history", str(history), *given, "--image", given[1]]) == 0
    earlier, now = scripted.received[0].messages
    assert earlier.text == "before"
    assert [part.modality for part in now.parts] == ["image", "image", "audio", "video", "text"]


def test_without_a_terminal_every_line_is_a_message(
    scripted: ScriptedModel, monkeypatch: pytest.MonkeyPatch, capsys: Printed
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("one\n/image missing.png\ntwo\n"))
    assert main(["chat"]) == 0
    printed = capsys.readouterr()
    assert printed.out.count("Nice?") == 2 and "you>" not in printed.out
    assert "missing.png" in printed.err
    assert len(scripted.received) == 2


def test_a_temporary_folder_stays_only_where_it_holds_media(
    scripted: ScriptedModel, temporary_folders: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(""))
    assert main(["chat"]) == 0
    assert list(temporary_folders.iterdir()) == []
    assert main(["chat", "--once", "hello"]) == 0
    assert len(list(temporary_folders.iterdir())) == 1


@pytest.mark.parametrize(
    "arguments",
    [
        ["--json"],
        ["--once", "hi", "--image", "missing.png"],
        ["--once", "hi", "--history", "missing.json"],
        ["--once", "hi", "--seed", "-1"],
        ["--once", "hi", "--seed", "many"],
        ["--once", "hi", "--out", "/dev/null/folder"],
        ["--once", "refuse"],
        ["--once", "refuse", "--json"],
        ["--once"],
        ["--fly"],
    ],
)
def test_a_users_mistake_is_one_line_and_status_2(
    scripted: ScriptedModel, arguments: list[str], capsys: Printed
) -> None:
    assert main(["chat", *arguments]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.splitlines()[-1].startswith("nextgpt: ")
    assert "Traceback" not in printed.err


@pytest.mark.parametrize("arguments", [["--once", "hi"], ["--once", "hi", "--json"], []])
def test_a_model_that_cannot_be_loaded_is_status_2(
    arguments: list[str], monkeypatch: pytest.MonkeyPatch, capsys: Printed
) -> None:
    def fail(name: str, *_: object) -> LoadedModel:
        raise ModelError(f"model {name!r} is unknown")

    monkeypatch.setattr(repl, "load_model", fail)
    monkeypatch.setattr("sys.stdin", io.StringIO(""))
    assert main(["chat", "nanno", *arguments]) == 2
    printed = capsys.readouterr()
    assert (printed.out, printed.err) == ("", "nextgpt: model 'nanno' is unknown\n")
