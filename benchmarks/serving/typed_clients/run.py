"""Generates typed clients from the OpenAPI document, and finds answers that they leave without a type.

    python -m benchmarks.serving.typed_clients.run --work out/typed-clients

openapi-typescript and tsc come from npm, openapi-python-client from pip, both into the work folder. Ends with status 1
if an answer is untyped.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import venv
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import httpx
import typer
import yaml
from benchmarks.serving.run import run_server

from nextgpt.errors import ConfigError

FOLDER = Path(__file__).parent
BINARY_MEDIA_TYPES = ("audio/wav", "audio/mpeg", "audio/flac", "video/mp4", "image/*", "audio/*", "video/*")
"""Media types of files, which openapi-python-client does not know."""
TSC = ("--noEmit", "--strict", "--skipLibCheck", "false", "--target", "es2022", "--moduleResolution", "bundler")


@dataclass(frozen=True)
class Answer:
    """One answer of the document: an operation, a status, and a media type."""

    path: str
    method: str
    status: str
    media_type: str
    operation_id: str

    def __str__(self) -> str:
        return f"{self.method.upper()} {self.path} {self.status} {self.media_type}"


@dataclass(frozen=True)
class Outcome:
    """What one generator made of the document."""

    generator: str
    version: str
    checked: int
    unit: str
    untyped: tuple[str, ...]


def main(
    work: Annotated[Path, typer.Option(help="Folder of the environments.")] = Path("out/typed-clients"),
    document: Annotated[Path | None, typer.Option(help="OpenAPI document; without it a server is started.")] = None,
    model: Annotated[str, typer.Option(help="Model of the server.")] = "nano",
) -> None:
    """Print how many answers each generator types, and which it does not."""
    content = json.loads(document.read_text()) if document else _fetch_document(model)
    work = work.resolve()
    work.mkdir(parents=True, exist_ok=True)
    (work / "openapi.json").write_text(json.dumps(content))
    answers = list_answers(content)
    outcomes = [check_typescript(work, answers), check_python(work, answers)]
    for outcome in outcomes:
        typed = outcome.checked - len(outcome.untyped)
        print(f"{outcome.generator} {outcome.version}: {typed} of {outcome.checked} {outcome.unit} typed")
        for name in outcome.untyped:
            print(f"  untyped: {name}")
    raise typer.Exit(int(any(outcome.untyped for outcome in outcomes)))


def list_answers(document: Mapping[str, Any]) -> list[Answer]:
    """Return every answer of the document. One without content has the media type ``none``, and no type."""
    return [
        Answer(path, method, status, media_type, operation["operationId"])
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
        for status, answer in operation["responses"].items()
        for media_type in answer.get("content") or ("none",)
    ]


def check_typescript(work: Path, answers: list[Answer]) -> Outcome:
    """Generate types with openapi-typescript, and check every answer with tsc."""
    folder = work / "typescript"
    if not (folder / "node_modules").exists():
        folder.mkdir(exist_ok=True)
        (folder / "package.json").write_text('{"private": true}')
        # TypeScript 5 is what openapi-typescript 7 generates for.
        _run([_tool("npm"), "install", "--silent", "openapi-typescript@7", "typescript@5"], folder)
    binaries = folder / "node_modules" / ".bin"
    _run([str(binaries / "openapi-typescript"), str(work / "openapi.json"), "-o", "nextgpt.ts"], folder)
    shutil.copy(FOLDER / "typed.ts", folder)
    (folder / "answers.ts").write_text("\n".join(typescript_lines(answers)) + "\n")
    command = [str(binaries / "tsc"), *TSC, "--module", "esnext", "--pretty", "false", "answers.ts"]
    result = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    lines = list(_error_lines(result.stdout))
    if result.returncode and not lines:
        raise ConfigError(f"tsc failed: {result.stdout[-2000:]}{result.stderr[-2000:]}")
    version = json.loads((folder / "node_modules" / "openapi-typescript" / "package.json").read_text())["version"]
    untyped = tuple(str(answers[number - PREAMBLE - 1]) for number in lines)
    return Outcome("openapi-typescript", version, len(answers), "answers", untyped)


PREAMBLE = 2
"""Lines of imports before the first answer."""


def typescript_lines(answers: list[Answer]) -> Iterator[str]:
    """Yield a module with a line per answer that compiles only if the answer is typed."""
    yield 'import type { paths } from "./nextgpt";'
    yield 'import type { Typed } from "./typed";'
    for number, answer in enumerate(answers):
        status = answer.status if answer.status.isdecimal() else json.dumps(answer.status)
        place = f"[{json.dumps(answer.path)}][{json.dumps(answer.method)}]"
        content = f'["responses"][{status}]["content"][{json.dumps(answer.media_type)}]'
        yield f"export const answer{number}: Typed<paths{place}{content}> = true;"


def _error_lines(output: str) -> Iterator[int]:
    """Yield the lines of ``answers.ts`` with an error; an error elsewhere ends the check."""
    for line in output.splitlines():
        if match := re.match(r"answers\.ts\((\d+),\d+\): error", line):
            yield int(match[1])
        elif re.match(r"\S+\(\d+,\d+\): error", line):
            raise ConfigError(f"tsc: {line}")


def check_python(work: Path, answers: list[Answer]) -> Outcome:
    """Generate a package with openapi-python-client, import all of it, and check what its functions return."""
    folder = work / "python"
    binaries = folder / "bin"
    if not (binaries / "openapi-python-client").exists():
        venv.create(folder, with_pip=True, clear=True)
        _run([str(binaries / "python"), "-m", "pip", "install", "-q", "openapi-python-client"], folder)
    overrides = dict.fromkeys(BINARY_MEDIA_TYPES, "application/octet-stream")
    # Formatters and linters of the generated code are left out.
    config = {"content_type_overrides": overrides, "package_name_override": "nextgpt_client", "post_hooks": []}
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    command = [str(binaries / "openapi-python-client"), "generate", "--path", str(work / "openapi.json")]
    command += ["--config", "config.yaml", "--output-path", str(folder / "client"), "--overwrite"]
    # The generator only warns about an answer that it leaves out.
    _run([*command, "--fail-on-warning"], folder)
    operations = sorted({answer.operation_id for answer in answers})
    package = folder / "client" / "nextgpt_client"
    check = [str(binaries / "python"), str(FOLDER / "check_python.py"), str(package), *operations]
    untyped = json.loads(_run(check, folder))
    show = "import importlib.metadata as m; print(m.version('openapi-python-client'))"
    version = _run([str(binaries / "python"), "-c", show], folder).strip()
    return Outcome("openapi-python-client", version, len(operations), "operations", tuple(untyped))


def _fetch_document(model: str) -> dict[str, Any]:
    with run_server(model) as address:
        return httpx.get(f"{address}/openapi.json", trust_env=False, timeout=60).raise_for_status().json()


def _tool(name: str) -> str:
    path = shutil.which(name)
    if not path:
        raise ConfigError(f"{name} is not on PATH. Install Node 20 or newer.")
    return path


def _run(command: list[str], folder: Path) -> str:
    """Run a command; return what it prints, or raise with its last lines."""
    result = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    if result.returncode:
        raise ConfigError(f"{' '.join(command[:3])} failed: {result.stdout[-2000:]}{result.stderr[-2000:]}")
    return result.stdout


if __name__ == "__main__":
    typer.run(main)
