"""The Dockerfile, as far as it can be checked without an engine that builds it."""

from __future__ import annotations

import json
import re
import shlex
import tomllib
from fnmatch import fnmatch
from pathlib import Path

import pytest

from nextgpt.cli.app import main

HOME = Path(__file__).parents[1]
LINES = re.sub(r"\\\n", " ", (HOME / "Dockerfile").read_text()).splitlines()


def instructions(name: str) -> list[str]:
    """What stands behind each instruction of a name."""
    return [line.removeprefix(name).strip() for line in LINES if line.startswith(f"{name} ")]


def test_what_is_copied_is_there_and_not_ignored():
    allowed = [line[1:] for line in (HOME / ".dockerignore").read_text().splitlines() if line.startswith("!")]
    for copied in instructions("COPY"):
        for source in shlex.split(copied)[:-1]:
            assert (HOME / source).exists(), source
            assert source.removeprefix("./") in allowed, source


def test_it_installs_what_the_makefile_installs_less_the_tools_for_tests():
    (installed,) = [line for line in instructions("RUN") if "pip install" in line]
    made, _ = re.findall(r"pip install (.*-c constraints.*) >&2", (HOME / "Makefile").read_text())
    in_image = set(shlex.split(installed.split("&&")[0].split("pip install")[1]))
    in_makefile = set(shlex.split(made.replace("$(PIP_ARGS)", "$PIP_ARGS")))
    assert in_makefile - in_image == {"-e", "."} and in_image - in_makefile == {".$EXTRAS"}


def test_the_python_is_one_that_the_package_takes():
    about = tomllib.loads((HOME / "pyproject.toml").read_text())["project"]
    (image,) = instructions("FROM")
    least = tuple(map(int, re.findall(r"\d+", about["requires-python"])))
    assert tuple(map(int, re.findall(r"\d+", image)[:2])) >= least


def test_what_it_starts_is_a_command_with_options_that_exist(capsys: pytest.CaptureFixture[str]):
    program, *arguments = json.loads(instructions("ENTRYPOINT")[0])
    assert program in tomllib.loads((HOME / "pyproject.toml").read_text())["project"]["scripts"]
    assert main([*arguments]) == 2, "it listens to others, so it asks for a key"
    assert "without a key" in capsys.readouterr().err


def test_files_of_the_package_that_are_no_code_are_installed_too():
    setuptools = tomllib.loads((HOME / "pyproject.toml").read_text())["tool"]["setuptools"]
    patterns = setuptools["package-data"]["nextgpt"]
    package = HOME / "src" / "nextgpt"
    others = [
        str(path.relative_to(package))
        for path in package.rglob("*")
        if path.is_file() and path.suffix not in (".py", ".pyc")
    ]
    forgotten = [name for name in others if not any(fnmatch(name, pattern) for pattern in patterns)]
    assert forgotten == []
