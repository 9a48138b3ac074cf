"""``python -m benchmarks.serving.run``: measure a server over HTTP and print one JSON object.

Without ``--url`` a server is started on loopback and stopped at the end. Only loopback addresses are accepted, so that
nobody sends the load to another machine by mistake.
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
from benchmarks.serving import measurements
from benchmarks.serving.client import LoadClient
from benchmarks.serving.workload import make_scripts

from nextgpt.errors import ConfigError

LOOPBACK_HOSTS = ("127.0.0.1", "localhost", "::1")


def main(
    url: Annotated[str | None, typer.Option(help="Server on loopback. Default: start one.")] = None,
    model: Annotated[str, typer.Option(help="Model of the server.")] = "nano",
    key: Annotated[str, typer.Option(help="API key.")] = "none",
    conversations: Annotated[int, typer.Option(min=1, help="Concurrent conversations.")] = 64,
    different: Annotated[int, typer.Option(min=1, help="Different conversations.")] = 64,
    minutes: Annotated[float, typer.Option(min=0.01, help="Duration of the load.")] = 10.0,
    rounds: Annotated[int, typer.Option(min=1, help="Rounds for the time to the first token.")] = 5,
) -> None:
    """Measure throughput, equality of answers, memory, time to the first token and cancellation."""
    with run_server(model) if url is None else contextlib.nullcontext(url) as address:
        if urlsplit(address).hostname not in LOOPBACK_HOSTS:
            raise ConfigError(f"--url {address}: expected an address on loopback. Run this beside the server.")
        rows = asyncio.run(_measure(address, model, key, conversations, different, 60 * minutes, rounds))
    sys.stdout.write(json.dumps(rows) + "\n")


async def _measure(
    address: str, model: str, key: str, concurrency: int, different: int, seconds: float, rounds: int
) -> dict[str, object]:
    limits = httpx.Limits(max_connections=concurrency + 16)
    headers = {"Authorization": f"Bearer {key}"}
    async with httpx.AsyncClient(
        base_url=address, headers=headers, timeout=600, limits=limits, trust_env=False
    ) as http:
        client, scripts = LoadClient(http, model), make_scripts(different)
        await measurements.run_sequential(client, make_scripts(8))  # warm-up
        before = await measurements.run_sequential(client, scripts)
        load = await measurements.run_concurrent(client, before, scripts, concurrency=concurrency, seconds=seconds)
        after = await measurements.run_sequential(client, make_scripts(8))
        single_s, concurrent_s = await measurements.measure_first_token(client, concurrency=16, rounds=rounds)
        disconnect = await measurements.run_disconnect(client)
    concurrent_per_s = load.replies / load.seconds
    return {
        "model": model,
        "cores": len(os.sched_getaffinity(0)),
        "conversations": concurrency,
        "minutes": round(load.seconds / 60, 2),
        "replies": load.replies,
        "failed": load.failed,
        "different": load.different,
        "concurrent_per_s": round(concurrent_per_s, 3),
        "sequential_per_s": [round(before.replies_per_s, 3), round(after.replies_per_s, 3)],
        "ratio": round(concurrent_per_s / max(before.replies_per_s, after.replies_per_s), 2),
        "memory_warm_mib": round(load.warm_bytes / 2**20, 1),
        "memory_end_mib": round(load.end_bytes / 2**20, 1),
        "memory_growth_percent": round(100 * (load.end_bytes / load.warm_bytes - 1), 2),
        "first_token_single_s": round(single_s, 4),
        "first_token_16_concurrent_s": round(concurrent_s, 4),
        "first_token_ratio": round(concurrent_s / single_s, 2),
        "disconnect_step_s": round(disconnect.step_s, 4),
        "disconnect_freed_s": round(disconnect.freed_s, 4),
        "disconnect_steps_after": disconnect.steps_after,
    }


@contextlib.contextmanager
def run_server(model: str) -> Iterator[str]:
    """Run a server in another process."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "nextgpt", "serve", model, "--port", str(port)]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    try:
        yield _wait_until_ready(f"http://127.0.0.1:{port}", process)
    finally:
        process.terminate()
        process.wait(timeout=120)


def _wait_until_ready(address: str, process: subprocess.Popen[bytes]) -> str:
    deadline = time.monotonic() + 600
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(httpx.TransportError):
            if httpx.get(f"{address}/ready", trust_env=False, timeout=5).status_code == 200:
                return address
        time.sleep(0.2)
    raise ConfigError("The server did not start. Run nextgpt serve to see the reason.")


if __name__ == "__main__":
    typer.run(main)
