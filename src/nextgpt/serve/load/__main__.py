"""``python -m nextgpt.serve.load``: measure a server over HTTP, and print one JSON object.

Without ``--url`` a server of its own is started on loopback, and stopped at the end. Only addresses of loopback are
asked: a load test is not to be sent to others.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Annotated
from urllib.parse import urlsplit

import httpx
import typer

from nextgpt.cli.serve import is_loopback
from nextgpt.errors import ConfigError
from nextgpt.serve.load import measuring
from nextgpt.serve.load.asking import Asker
from nextgpt.serve.load.scripts import scripts


def main(
    url: Annotated[str | None, typer.Option(help="A server on loopback; left out, one is started.")] = None,
    model: Annotated[str, typer.Option(help="What the server serves.")] = "nano",
    key: Annotated[str, typer.Option(help="Its API key.")] = "none",
    conversations: Annotated[int, typer.Option(min=1, help="Open at any time.")] = 64,
    different: Annotated[int, typer.Option(min=1, help="Conversations that differ.")] = 64,
    minutes: Annotated[float, typer.Option(min=0.01, help="How long.")] = 10.0,
    rounds: Annotated[int, typer.Option(min=1, help="Of measuring the first words.")] = 5,
) -> None:
    """Measure throughput, sameness, memory, first words and leaving."""
    with _server(model) if url is None else contextlib.nullcontext(url) as address:
        if not is_loopback(urlsplit(address).hostname or ""):
            raise ConfigError(f"{address} came; expected an address of loopback. Run this beside the server.")
        told = asyncio.run(_measure(address, model, key, conversations, different, 60 * minutes, rounds))
    sys.stdout.write(json.dumps(told) + "\n")


async def _measure(
    address: str, model: str, key: str, at_once: int, different: int, seconds: float, rounds: int
) -> dict[str, object]:
    limits = httpx.Limits(max_connections=at_once + 16)
    headers = {"Authorization": f"Bearer {key}"}
    async with httpx.AsyncClient(
        base_url=address, headers=headers, timeout=600, limits=limits, trust_env=False
    ) as client:
        asker, plan = Asker(client, model), scripts(different)
        await measuring.alone(asker, scripts(8))  # everything is loaded
        known = await measuring.alone(asker, plan)
        borne = await measuring.together(asker, known, plan, at_once=at_once, seconds=seconds)
        again = await measuring.alone(asker, scripts(8))
        one, many = await measuring.first_words(asker, at_once=16, rounds=rounds)
        left = await measuring.leaving(asker)
    together_per_s = borne.answers / borne.seconds
    return {
        "model": model,
        "cores": len(os.sched_getaffinity(0)),
        "conversations_at_once": at_once,
        "minutes": round(borne.seconds / 60, 2),
        "answers": borne.answers,
        "failed": borne.failed,
        "other_than_alone": borne.other_than_alone,
        "together_per_s": round(together_per_s, 3),
        "alone_per_s": [round(known.per_s, 3), round(again.per_s, 3)],
        "ratio": round(together_per_s / max(known.per_s, again.per_s), 2),
        "memory_warm_mib": round(borne.warm_bytes / 2**20, 1),
        "memory_end_mib": round(borne.end_bytes / 2**20, 1),
        "memory_growth_percent": round(100 * (borne.end_bytes / borne.warm_bytes - 1), 2),
        "first_words_alone_s": round(one, 4),
        "first_words_16_at_once_s": round(many, 4),
        "first_words_ratio": round(many / one, 2),
        "left_step_s": round(left.step_s, 4),
        "left_freed_s": round(left.freed_s, 4),
        "left_steps_after": left.steps_after,
    }


@contextlib.contextmanager
def _server(model: str) -> Iterator[str]:
    """A server in a process of its own."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "nextgpt", "serve", model, "--port", str(port)]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    try:
        yield _when_ready(f"http://127.0.0.1:{port}", process)
    finally:
        process.terminate()
        process.wait(timeout=120)


def _when_ready(address: str, process: subprocess.Popen[bytes]) -> str:
    deadline = time.monotonic() + 600
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(httpx.TransportError):
            if httpx.get(f"{address}/ready", trust_env=False, timeout=5).status_code == 200:
                return address
        time.sleep(0.2)
    raise ConfigError("The server did not start; expected it to be ready. Run nextgpt serve to see why.")


if __name__ == "__main__":
    typer.run(main)
