"""Servers that are killed while they answer: what a client took for complete is complete."""

from __future__ import annotations

import os
import random
import signal
import socket
import tempfile
import threading
import time
from contextlib import suppress
from multiprocessing.process import BaseProcess
from pathlib import Path

import httpx
from benchmarks.kill_runs.processes import WAIT_S, Report, start

from nextgpt.testing.scripted_model import tiny_image

QUESTION = {"model": "tiny", "messages": [{"role": "user", "content": "Hi"}], "max_tokens": 20, "modalities": ["text"]}


def kill_servers(kills: int, folder: Path) -> Report:
    """Kill servers while they answer; what a client took for complete must be complete."""
    report = Report()
    for _ in range(kills):
        temporary = folder / "server-files"
        temporary.mkdir(exist_ok=True)
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        process = start(lambda port=port, temporary=temporary: serve(folder, port, temporary))
        address = f"http://127.0.0.1:{port}"
        if not _is_ready(address, process):
            report.violations.append("a server did not start after a kill")
            return report
        answer_s = _ask_once(address)
        stop = threading.Event()
        clients = [
            threading.Thread(target=ask, args=(address, kind, stop, report)) for kind in ("whole", "stream", "file")
        ]
        for client in clients:
            client.start()
        time.sleep(random.uniform(0.0, 6 * answer_s))  # three clients, and two answers of each
        os.kill(process.pid, signal.SIGKILL)
        process.join()
        report.counts["kills"] += 1
        stop.set()
        for client in clients:
            client.join()
        report.check(len(list(temporary.glob("nextgpt-files-*"))) <= 2, "files of killed servers stay")
        for leftover in temporary.glob("nextgpt-files-*"):
            os.utime(leftover, (0, 0))  # the next server removes what is older than a minute
    return report


def serve(folder: Path, port: int, temporary: Path) -> None:
    """Serve the tiny model."""
    import uvicorn

    from nextgpt import NextGPT
    from nextgpt.serve.app import create_app
    from nextgpt.serve.engine.base import EngineSettings
    from nextgpt.serve.engine.local import LocalEngine
    from nextgpt.serve.settings import ServerSettings

    tempfile.tempdir = str(temporary)
    engine = LocalEngine(NextGPT.from_pretrained(folder / "tiny"), "tiny", EngineSettings())
    uvicorn.run(create_app(engine, ServerSettings()), host="127.0.0.1", port=port, log_level="critical")


def _is_ready(address: str, process: BaseProcess) -> bool:
    deadline = time.monotonic() + WAIT_S
    while time.monotonic() < deadline and process.is_alive():
        with suppress(httpx.TransportError):
            if httpx.get(f"{address}/ready", trust_env=False).status_code == 200:
                return True
        time.sleep(0.1)
    return False


def _ask_once(address: str) -> float:
    """Return the seconds of one answer."""
    started = time.monotonic()
    httpx.post(f"{address}/v1/chat/completions", json=QUESTION, trust_env=False, timeout=WAIT_S).raise_for_status()
    return time.monotonic() - started


def ask(address: str, kind: str, stop: threading.Event, report: Report) -> None:
    """Send requests until the server is gone."""
    body = QUESTION | {"stream": kind == "stream"}
    with httpx.Client(base_url=address, trust_env=False, timeout=WAIT_S) as http:
        while not stop.is_set():
            try:
                if kind == "file":
                    _ask_for_file(http, report)
                    continue
                response = http.post("/v1/chat/completions", json=body)
            except httpx.HTTPError:
                report.counts[f"{kind}: cut off, as the client knows"] += 1
                return
            is_complete = response.text.rstrip().endswith("data: [DONE]") if kind == "stream" else _is_json(response)
            # A stream has no length; without its last event a client knows that it is not whole.
            report.counts[f"{kind}: {'complete' if is_complete else 'without its last event'}"] += 1
            report.check(is_complete or kind == "stream", "half an answer was taken for whole")


def _ask_for_file(http: httpx.Client, report: Report) -> None:
    content = random.randbytes(50_000)
    stored = http.post("/v1/files", files={"file": ("a.bin", tiny_png() + content)}, data={"purpose": "user_data"})
    if stored.status_code == 200:
        read = http.get(f"/v1/files/{stored.json()['id']}/content")
        report.check(read.content == tiny_png() + content, "a confirmed file came back differently")
        report.counts["file: confirmed and read"] += 1
    else:
        report.counts[f"file: {stored.status_code}"] += 1


def tiny_png() -> bytes:
    """Return the bytes of an image; anything may follow them."""
    with tempfile.TemporaryDirectory() as folder:
        return tiny_image().save(Path(folder) / "a.png").read_bytes()


def _is_json(response: httpx.Response) -> bool:
    with suppress(ValueError):
        return bool(response.json()["choices"])
    return False
