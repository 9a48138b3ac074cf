from __future__ import annotations

import subprocess
import sys

import pytest

from nextgpt.cli import app
from nextgpt.cli.app import main
from nextgpt.errors import ModelError


def test_help_imports_nothing_heavy() -> None:
    script = (
        "import sys; from nextgpt.cli.app import main; status = main(['--help']);"
        "heavy = {'torch', 'transformers', 'diffusers', 'numpy', 'av', 'pydantic'} & set(sys.modules);"
        "sys.exit(f'imported {heavy}' if heavy else status)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")


def test_every_command_is_listed_in_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    listed = capsys.readouterr().out
    assert all(f"\n  {name} " in listed for name in app.COMMANDS)


def test_no_arguments_show_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    assert "Usage: nextgpt" in capsys.readouterr().out


@pytest.mark.parametrize("arguments", [["--fly"], ["models", "--fly"], ["models", "too", "many"]])
def test_a_bad_option_is_one_line_and_status_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("nextgpt: ") and printed.err.count("\n") == 1
    assert "--help" in printed.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["chat", "--seed", "-1"], "Invalid value for '--seed': expected a value greater than or equal to 0. See"),
        (["chat", "--sampling", "fast"], "Invalid value for '--sampling': 'fast' is not one of 'published'. See"),
        (["chat", "--steps", "3"], "No such option: --steps (Possible options: --help, --seed). See"),
    ],
)
def test_what_an_option_accepts_is_a_sentence(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    assert capsys.readouterr().err.startswith(f"nextgpt: {message} nextgpt chat --help.")


def test_the_nearest_command_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["chad"]) == 2
    assert "expected one of chat, info" in (said := capsys.readouterr().err) and "Did you mean 'chat'?" in said


def test_a_users_mistake_is_one_line_and_status_2(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise ModelError("no model\nof that name")

    monkeypatch.setattr(app, "app", fail)
    assert main(["models"]) == 2
    assert capsys.readouterr().err == "nextgpt: no model of that name\n"


def test_an_interruption_is_status_1_without_a_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(app, "app", interrupt)
    assert main(["models"]) == 1
    assert capsys.readouterr().err == "nextgpt: Interrupted.\n"
