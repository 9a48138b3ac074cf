"""``python -m benchmarks.hostile_inputs.run``: give hostile inputs to all readers and routes, and count the outcomes.

Prints one JSON object. The exit status is 1 if anything crashed, was slow, was answered by a 500, or was not logged.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import multiprocessing
import os
import re
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import httpx
import typer
from benchmarks.hostile_inputs.files import hostile_file
from benchmarks.hostile_inputs.http_requests import HostileRequest, hostile_request

CHUNK = 25
"""Files per task of the reading process."""
PROBE_INTERVAL_S = 0.5
TRACEBACK = "Traceback (most recent call last)"


@dataclass
class Outcomes:
    """Counts by outcome, and what must not happen."""

    counts: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)
    slowest_s: float = 0.0
    max_seconds: float = 30.0
    """An input that takes longer is a fault."""

    def add(self, outcome: str, seconds: float, description: str, *, is_fault: bool = False) -> None:
        """Count one input; a slow one is a fault whatever its outcome."""
        self.counts[outcome] += 1
        self.slowest_s = max(self.slowest_s, seconds)
        if is_fault or seconds > self.max_seconds:
            self.faults.append(f"{outcome} after {seconds:.1f} s: {description}")

    def to_dict(self) -> dict[str, Any]:
        """Return plain values; at most 20 faults are listed."""
        return {
            "counts": dict(sorted(self.counts.items())),
            "slowest_s": round(self.slowest_s, 2),
            "num_faults": len(self.faults),
            "faults": self.faults[:20],
        }


def main(
    files: Annotated[int, typer.Option(min=0, help="Files for the readers.")] = 7000,
    requests: Annotated[int, typer.Option(min=0, help="Requests for the server.")] = 3000,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the first input.")] = 0,
    concurrency: Annotated[int, typer.Option(min=1, help="Requests at once.")] = 8,
    minutes: Annotated[float, typer.Option(min=0.1, help="Time limit of each half.")] = 60.0,
    max_seconds: Annotated[float, typer.Option(help="Longest answer of the server; more on a busy machine.")] = 30.0,
    model: Annotated[str, typer.Option(help="Model of the server.")] = "nano",
) -> None:
    """Run hostile inputs through all readers and routes."""
    seeds = range(seed, seed + files)
    report: dict[str, Any] = {"cores": len(os.sched_getaffinity(0)), "seed": seed}
    if files:
        report["readers"] = read_all(seeds, time.monotonic() + 60 * minutes).to_dict()
    if requests:
        report |= serve_all(range(seed, seed + requests), model, concurrency, 60 * minutes, max_seconds)
    sys.stdout.write(json.dumps(report, indent=1) + "\n")
    num_faults = sum(report[half]["num_faults"] for half in ("readers", "server") if half in report)
    raise typer.Exit(int(num_faults > 0 or bool(report.get("unlogged"))))


# ---- readers -------------------------------------------------------------------------------------------------------


def read_all(seeds: Sequence[int], deadline: float) -> Outcomes:
    """Read the files of all seeds in another process, which may crash."""
    outcomes = Outcomes()
    chunks = [list(seeds[start : start + CHUNK]) for start in range(0, len(seeds), CHUNK)]
    while chunks and time.monotonic() < deadline:
        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(1, mp_context=context, initializer=_silence) as pool:
            try:
                while chunks and time.monotonic() < deadline:
                    for result in pool.submit(_read_chunk, chunks[0]).result():
                        outcomes.add(*result[:3], is_fault=result[3])
                    del chunks[0]
            except BrokenProcessPool:
                crashed, *rest = chunks
                chunks = [[one] for one in crashed] + rest if len(crashed) > 1 else rest
                if len(crashed) == 1:
                    file = hostile_file(crashed[0])
                    outcomes.add("crash", 0.0, f"seed {crashed[0]}, {file.origin}, {file.mutation}", is_fault=True)
    return outcomes


def _silence() -> None:
    """Discard what C libraries print about damaged files."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)


def _read_chunk(seeds: Sequence[int]) -> list[tuple[str, float, str, bool]]:
    return [_read(seed) for seed in seeds]


def _read(seed: int) -> tuple[str, float, str, bool]:
    """Read one file, and scale an image for an encoder."""
    from nextgpt.errors import MediaError
    from nextgpt.media import READERS, read_any, resize_short_side
    from nextgpt.message import Image
    from nextgpt.serve.settings import ServerSettings

    file, limits = hostile_file(seed), ServerSettings().media_limits
    # Two of three files are read as what they claim to be, the others as anything.
    readers = [READERS.get(file.origin, read_any)] if seed % 3 else list(READERS.values())
    read = readers[seed // 3 % len(readers)]
    start = time.process_time()  # other programs do not count
    try:
        medium = read(file.content, limits=limits)
        if isinstance(medium, Image):
            resize_short_side(medium.image, 224)
        assert medium.digest
        outcome, is_fault = "read, damaged" if medium.damage else "read", False
    except MediaError as error:
        outcome, is_fault = "refused", "; expected " not in str(error)
    except Exception as error:
        outcome, is_fault = type(error).__name__, True
    name = getattr(read, "__name__", "")
    return outcome, time.process_time() - start, f"seed {seed}, {name}, {file.origin}, {file.mutation}", is_fault


# ---- server --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Server:
    """A running server."""

    address: str
    pid: int

    def memory_bytes(self, field_name: str = "VmRSS") -> int:
        """Return a field of ``/proc/PID/status``."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        return 1024 * int(re.search(rf"^{field_name}:\s+(\d+)", status, re.MULTILINE)[1])  # type: ignore[index]

    def reset_peak(self) -> None:
        """Start measuring peak memory (``VmHWM``) anew."""
        Path(f"/proc/{self.pid}/clear_refs").write_text("5")


@contextlib.contextmanager
def run_server(model: str, log: Path) -> Iterator[Server]:
    """Run a server in another process; what it logs goes to ``log``."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "nextgpt", "serve", model, "--port", str(port)]
    with log.open("wb") as file:
        process = subprocess.Popen(command, stderr=file)
    address = f"http://127.0.0.1:{port}"
    try:
        while True:
            with contextlib.suppress(httpx.TransportError):
                if httpx.get(f"{address}/ready", trust_env=False, timeout=5).status_code == 200:
                    break
            if process.poll() is not None:
                raise RuntimeError(log.read_text())
            time.sleep(0.2)
        yield Server(address, process.pid)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=120)


def serve_all(seeds: Sequence[int], model: str, concurrency: int, seconds: float, max_seconds: float) -> dict[str, Any]:
    """Start a server, send it the requests of all seeds, and compare failures with its log."""
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "log"
        with run_server(model, log) as server:
            outcomes = Outcomes(max_seconds=max_seconds)
            report = asyncio.run(request_all(server, seeds, concurrency, time.monotonic() + seconds, outcomes))
        report["unlogged"] = unlogged(report.pop("failed_ids"), log.read_text(errors="replace"))
    return report


async def request_all(
    server: Server, seeds: Sequence[int], concurrency: int, deadline: float, outcomes: Outcomes
) -> dict[str, Any]:
    """Send the requests of all seeds, and measure memory and the delay of ordinary requests beside them."""
    failed_ids: list[str] = []
    pending = iter(seeds)
    limits = httpx.Limits(max_connections=concurrency + 2)
    async with httpx.AsyncClient(base_url=server.address, timeout=600, limits=limits, trust_env=False) as http:
        idle_s = [await _probe(http) for _ in range(20)][3:]
        idle_bytes = server.memory_bytes()
        server.reset_peak()

        async def work() -> None:
            for seed in pending:
                if time.monotonic() > deadline:
                    return
                failed_ids.extend(await _send(http, seed, outcomes))

        stop = asyncio.Event()
        probes = asyncio.create_task(_probe_until(http, stop))
        await asyncio.gather(*(work() for _ in range(concurrency)))
        stop.set()
        busy_s = await probes
    peak = server.memory_bytes("VmHWM")
    return {
        "server": outcomes.to_dict(),
        "failed_ids": failed_ids,
        "memory_idle_mib": round(idle_bytes / 2**20),
        "memory_above_idle_mib": round((peak - idle_bytes) / 2**20),
        "probe_idle_s": _summary(idle_s),
        "probe_busy_s": _summary(busy_s),
        "largest_delay_s": round(max(busy_s) - statistics.median(idle_s), 2),
    }


def _summary(seconds: Sequence[float]) -> dict[str, float]:
    return {"median": round(statistics.median(seconds), 3), "max": round(max(seconds), 3), "count": len(seconds)}


async def _probe(http: httpx.AsyncClient) -> float:
    """Return the seconds of an ordinary request."""
    body = {
        "model": "nano",
        "messages": [{"role": "user", "content": "Hello!"}],
        "max_tokens": 4,
        "modalities": ["text"],
    }
    start = time.perf_counter()
    response = await http.post("/v1/chat/completions", json=body)
    response.raise_for_status()
    return time.perf_counter() - start


async def _probe_until(http: httpx.AsyncClient, stop: asyncio.Event) -> list[float]:
    seconds = []
    while not stop.is_set() or not seconds:
        seconds.append(await _probe(http))
        await asyncio.sleep(PROBE_INTERVAL_S)
    return seconds


async def _send(http: httpx.AsyncClient, seed: int, outcomes: Outcomes) -> list[str]:
    """Send one request; return its id if it failed."""
    request = hostile_request(seed)
    description = f"seed {seed}, {request.route}, {request.mutation}"
    start = time.perf_counter()
    try:
        response = await _post(http, request)
    except httpx.HTTPError as error:
        outcomes.add(type(error).__name__, time.perf_counter() - start, description, is_fault=True)
        return []
    status = response.status_code
    is_fault = status >= 500 or (status >= 400 and "error" not in response.json())
    outcomes.add(
        f"{status}",
        time.perf_counter() - start,
        f"{description}: {response.text[:200]}" if is_fault else description,
        is_fault=is_fault,
    )
    return [response.headers["x-request-id"]] if status >= 500 else []


async def _post(http: httpx.AsyncClient, request: HostileRequest) -> httpx.Response:
    if request.files is not None:
        return await http.post(request.route, files=request.files, data=request.form)
    return await http.post(request.route, content=request.content, headers=request.headers)


def unlogged(failed_ids: Sequence[str], log: str) -> list[str]:
    """Return the ids of failed requests without a traceback in the log."""
    failures = [piece for piece in log.split("request ") if TRACEBACK in piece]
    logged = {piece.split(" ", 1)[0] for piece in failures}
    return [request_id for request_id in failed_ids if request_id not in logged]


if __name__ == "__main__":
    typer.run(main)
