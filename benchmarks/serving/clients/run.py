"""Runs third-party clients against a server, each in an environment of its own, because their versions conflict.

    python -m benchmarks.serving.clients.run --work out/clients --only litellm,openai-node

Environments are made once in the work folder, with venv and npm. A probe prints one JSON line per check.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import threading
import venv
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Annotated

import typer
from benchmarks.serving.run import run_server

from nextgpt.errors import ConfigError
from nextgpt.miniworld.render import render
from nextgpt.miniworld.specs import ClipSpec, ObjectSpec, SceneSpec, SoundSpec

PROBES = Path(__file__).parent / "probes"
TIMEOUT_S = 600.0
"""Time limit of a probe; the checks that it finished until then count."""
COLUMNS = ("chat", "stream", "image_in", "audio_in", "media_out", "errors")
# lmms-eval depends on the libraries of all of its models; these are what its classes for OpenAI's API import. Its
# version 0.7.3 uses a private module of filelock that version 4 lacks.
LMMS_EVAL_PARTS = (
    *("torch", "transformers", "accelerate", "datasets", "evaluate", "sacrebleu", "pandas", "pytz"),
    *("openai", "aiohttp", "loguru", "python-dotenv", "tenacity", "jinja2", "filelock<4", "pillow", "httpx"),
)


@dataclass(frozen=True)
class Client:
    """A client library, and the probe that uses it."""

    name: str
    probe: str
    packages: tuple[str, ...]
    reasons: Mapping[str, str]
    """Why a column is empty."""
    parts: tuple[str, ...] = ()
    """The dependencies that the probe needs. If set, ``packages`` are installed without theirs."""


CLIENTS = (
    Client("openai", "openai_python.py", ("openai",), {}),
    Client("openai-node", "openai_node.mjs", ("openai",), {}),
    Client("litellm", "litellm_client.py", ("litellm",), {}),
    Client("langchain-openai", "langchain_client.py", ("langchain-openai",), {}),
    Client("pydantic-ai", "pydantic_ai_client.py", ("pydantic-ai-slim[openai]",), {}),
    Client("openai-agents", "openai_agents.py", ("openai-agents",), {"audio_in": "no audio in its items"}),
    Client("llama-index", "llama_index_client.py", ("llama-index-llms-openai-like",), {}),
    Client("llm", "llm_cli.py", ("llm",), {"media_out": "prints text only"}),
    Client("ai-sdk", "ai_sdk.mjs", ("ai", "@ai-sdk/openai"), {"audio_in": "its Responses model refuses audio"}),
    Client("ai-sdk-compatible", "ai_sdk_compatible.mjs", ("ai", "@ai-sdk/openai-compatible"), {}),
    Client("openrouter", "openrouter_python.py", ("openrouter",), {"errors": "reads no error codes but numbers"}),
    Client("ai-sdk-openrouter", "openrouter.mjs", ("ai", "@openrouter/ai-sdk-provider"), {}),
    Client(
        "lmms-eval",
        "lmms_eval_client.py",
        ("lmms-eval",),
        {"stream": "does not stream", "media_out": "reads text only"},
        parts=LMMS_EVAL_PARTS,
    ),
)


def main(
    work: Annotated[Path, typer.Option(help="Folder of the environments.")] = Path("out/clients"),
    only: Annotated[str, typer.Option(help="Names of clients, separated by commas.")] = "",
    url: Annotated[str, typer.Option(help="Server; without it one is started.")] = "",
    model: Annotated[str, typer.Option(help="Model.")] = "nano",
    json_output: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
) -> None:
    """Print which checks each client passes."""
    clients = [client for client in CLIENTS if not only or client.name in only.split(",")]
    if not clients:
        raise typer.BadParameter(
            f"expected some of {', '.join(client.name for client in CLIENTS)}", param_hint="--only"
        )
    work = work.resolve()
    media = _save_media(work / "media")
    with contextlib.nullcontext(url) if url else run_server(model) as address:
        environment = os.environ | {"BASE_URL": f"{address}/v1", "MODEL": model} | media
        results: dict[str, dict[str, str]] = {}
        for client in clients:
            results[client.name] = dict(_run_probe(client, work, environment))
            print(client.name, results[client.name], file=sys.stderr, flush=True)
    print(json.dumps(results, indent=1) if json_output else _to_markdown(clients, results))


def _save_media(folder: Path) -> dict[str, str]:
    folder.mkdir(parents=True, exist_ok=True)
    media = {
        "IMAGE": (render(SceneSpec((ObjectSpec("apple"),))), "apple.png"),
        "AUDIO": (render(SoundSpec("piano")), "piano.wav"),
        "VIDEO": (render(ClipSpec("car")), "car.mp4"),
    }
    paths = {name: folder / file for name, (_, file) in media.items()}
    for name, (medium, _) in media.items():
        medium.save(paths[name])
    return {name: str(path) for name, path in paths.items()}


def _run_probe(client: Client, work: Path, environment: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Yield the outcome of each check: ``OK`` or what went wrong."""
    folder = work / client.name
    command = _prepare_node(client, folder) if client.probe.endswith(".mjs") else _prepare_python(client, folder)
    with (folder / "probe.log").open("w") as log:
        output = _run_within(command, environment, log)
    lines = [json.loads(line) for line in output.splitlines() if line.startswith('{"check"')]
    if not lines:
        yield "chat", f"the probe failed; see {folder / 'probe.log'}"
    for line in lines:
        yield line["check"], "OK" if line["ok"] else line["detail"]


def _run_within(command: list[str], environment: Mapping[str, str], log: IO[str]) -> str:
    """Return what the probe printed, until its end or the time limit."""
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=log, text=True) as process:
        timer = threading.Timer(TIMEOUT_S, process.kill)
        timer.start()
        output = process.communicate()[0]
        timer.cancel()
    return output


def _prepare_python(client: Client, folder: Path) -> list[str]:
    python = folder / "bin" / "python"
    if not (folder / "installed").exists():
        venv.create(folder, with_pip=True, clear=True)
        pip = [str(python), "-m", "pip", "install", "-q"]
        commands = [[*pip, *client.packages]]
        if client.parts:
            commands = [[*pip, "--no-deps", *client.packages], [*pip, *client.parts]]
        _install(commands, folder)
    return [str(python), str(PROBES / client.probe)]


def _prepare_node(client: Client, folder: Path) -> list[str]:
    node, npm = shutil.which("node"), shutil.which("npm")
    if not node or not npm:
        raise ConfigError(f"{client.name} needs node and npm on PATH.")
    if not (folder / "installed").exists():
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "package.json").write_text('{"private": true}')
        _install([[npm, "install", "--silent", *client.packages]], folder)
    # Node looks for packages beside the script.
    for path in (*PROBES.glob("checks.mjs"), PROBES / client.probe):
        shutil.copy(path, folder)
    return [node, str(folder / client.probe)]


def _install(commands: list[list[str]], folder: Path) -> None:
    for command in commands:
        if subprocess.run(command, cwd=folder, stdout=sys.stderr).returncode:
            raise ConfigError(f"The packages cannot be installed: {' '.join(command)}")
    (folder / "installed").touch()


def _to_markdown(clients: list[Client], results: Mapping[str, Mapping[str, str]]) -> str:
    """Return a table: OK, the reason why a check is not possible, or the error."""
    rows = [f"| client | {' | '.join(COLUMNS)} | further |", "| --- " * (len(COLUMNS) + 2) + "|"]
    for client in clients:
        outcomes = results[client.name]
        cells = [outcomes.get(name, client.reasons.get(name, "not run")) for name in COLUMNS]
        further = ", ".join(f"{name} {outcome}" for name, outcome in outcomes.items() if name not in COLUMNS)
        rows.append(f"| {' | '.join((client.name, *cells, further))} |")
    return "\n".join(rows)


if __name__ == "__main__":
    typer.run(main)
