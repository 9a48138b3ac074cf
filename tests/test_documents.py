"""Documents name files, functions, commands, options and recipe keys that exist."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.main import get_command

from nextgpt.cli.app import app
from nextgpt.train.config import EngineConfig, TrainerConfig
from nextgpt.train.recipe import read_recipe

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "nextgpt"
DOCUMENTS = [ROOT / "README.md", ROOT / "ARCHITECTURE.md", *sorted((ROOT / "docs").glob("*.md"))]
ARCHITECTURE = (ROOT / "ARCHITECTURE.md").read_text()
BASES = (
    ROOT,
    PACKAGE,
    PACKAGE / "serve" / "static",
    PACKAGE / "model" / "input_projection",
    PACKAGE / "miniworld" / "assets" / "phrasings",
)
"""Folders that paths in documents are relative to."""
PATH = re.compile(r"[\w.-]+(/[\w.-]+)*(/|\.(py|js|css|yaml|json|md|toml|sh))")
SYMBOL = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*")
WRITTEN = {
    "train.json", "dataset_info.json", "manifest.json",
    "config.json", "nextgpt.json", "conversation.json", "recipe.json", "adapter_config.json", "preset.json",
    "mine.yaml", "cc3m.json", "NAME.json", "openapi.json", "run.json", "scores.json", "report.md",
}  # fmt: skip
"""Files of models, runs and examples, which are not in the repository."""

documents = pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)


def code_spans(text: str) -> list[str]:
    return re.findall(r"`([^`\n]+)`", re.sub(r"```.*?```", "", text, flags=re.S))


def command_lines(document: Path) -> list[str]:
    blocks = re.findall(r"^```\n(.*?)^```", document.read_text(), flags=re.S | re.M)
    lines = [line for block in blocks for line in block.splitlines()]
    lines += [span for span in code_spans(document.read_text()) if " " in span]
    return [re.sub(r"\s#.*", "", line).removeprefix("$ ") for line in lines]


@cache
def symbols(module: Path) -> frozenset[str]:
    """Return the names that a module defines, with the members of its classes."""
    names: set[str] = set()
    for node in ast.parse(module.read_text()).body:
        own = assigned_names(node)
        names |= own
        if isinstance(node, ast.ClassDef):
            names |= {f"{node.name}.{name}" for member in node.body for name in assigned_names(member)}
    return frozenset(names)


def assigned_names(node: ast.stmt) -> set[str]:
    if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
        return {node.name}
    targets = node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
    return {target.id for target in targets if isinstance(target, ast.Name)}


def resolve(path: str) -> Path | None:
    return next((base / path for base in BASES if (base / path).exists()), None)


@documents
def test_links_lead_to_files(document: Path):
    links = re.findall(r"\]\(([^)\s]+)\)", document.read_text())
    local = [link.split("#")[0] for link in links if "://" not in link and not link.startswith("#")]
    assert [link for link in local if not (document.parent / link).exists()] == []


@documents
def test_paths_exist(document: Path):
    named = [
        span
        for span in code_spans(document.read_text())
        if PATH.fullmatch(span) and span not in WRITTEN and not span.startswith("out/")
    ]
    missing = [path for path in named if resolve(path) is None and not (ROOT / "docs" / path).exists()]
    work_dirs = {"checkpoints/", "samples/", "tracking/"}
    assert [path for path in missing if path not in work_dirs] == []


def test_architecture_names_functions_that_exist():
    """After the path of a module, names up to the next path or the end of the cell belong to that module."""
    count = 0
    for passage in re.split(r"\||\n\n|\n-|\n\d\.", ARCHITECTURE):
        module: Path | None = None
        for span, gap in re.findall(r"`([^`\n]+)`([^`]*)", passage):
            if PATH.fullmatch(span):
                module = resolve(span) if span.endswith(".py") else None
            elif module is not None and SYMBOL.fullmatch(span):
                assert span in symbols(module), f"{span} is not in {module.relative_to(ROOT)}"
                count += 1
            if gap.strip() not in ("", ",", "and", "or"):
                module = None
    assert count > 50


def test_the_walk_through_one_http_request_is_short():
    section = ARCHITECTURE.split("### One HTTP request, walked through\n")[1].split("\n## ")[0]
    assert 10 < len(section.strip().splitlines()) <= 40


@documents
def test_commands_and_options_exist(document: Path):
    for line in command_lines(document):
        words = [word.removeprefix(".venv/bin/") for word in line.split("|")[0].split()]
        if "nextgpt" in words[:1] or words[:3] == ["python", "-m", "nextgpt"]:
            check_nextgpt(words[words.index("nextgpt") + 1 :], line)
        elif words[:1] == ["make"]:
            targets = re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), flags=re.M)
            assert words[1] in targets or "=" in words[1], line
        elif words[:1] == ["python"] and words[1].endswith(".py"):
            check_script(ROOT / words[1], words[2:], line)
        elif words[:2] == ["python", "-m"] and words[2].startswith("benchmarks."):
            check_script(ROOT / f"{words[2].replace('.', '/')}.py", words[3:], line)


def check_nextgpt(words: list[str], line: str) -> None:
    command: Any = get_command(app)
    while hasattr(command, "commands") and words and re.fullmatch(r"[a-z]+", words[0]):
        assert words[0] in command.commands, line
        command, words = command.commands[words[0]], words[1:]
    known = {"--help"} | {option for parameter in command.params for option in parameter.opts}
    used = {word.strip("[]").split("=")[0] for word in words if word.startswith(("--", "[--"))}
    assert used <= known, f"{line}: {', '.join(sorted(used - known))}"


def check_script(script: Path, words: list[str], line: str) -> None:
    source = script.read_text()
    names = {word.lstrip("-").replace("-", "_") for word in words if word.startswith("--")}
    for name in names:
        is_known = re.search(rf'"--{name.replace("_", "-")}"|^ +{name}: Annotated', source, flags=re.M)
        assert is_known, f"{line}: --{name}"


@documents
def test_recipes_in_documents_are_valid(document: Path, tmp_path: Path):
    recipes = re.findall(r"^```yaml\n(kind:.*?)^```", document.read_text(), flags=re.S | re.M)
    assert recipes or document.name != "data.md"
    for number, text in enumerate(recipes):
        path = tmp_path / f"{number}.yaml"
        path.write_text(text)
        assert read_recipe(path).kind == yaml.safe_load(text)["kind"]


@documents
def test_settings_exist(document: Path):
    known = {"fit": TrainerConfig.model_fields, "engine": EngineConfig.model_fields}
    settings = re.findall(r"\b(fit|engine)\.([a-z_0-9]+)\b", re.sub(r"\S*/\S*", "", document.read_text()))
    assert [(group, name) for group, name in settings if name not in known[group]] == []
