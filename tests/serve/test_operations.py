"""What an operator relies on: the server ends well, and its log tells enough and not too much."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import httpx
import pytest

from nextgpt.serve.engine.base import EngineSettings
from nextgpt.serve.engine.local import LocalEngine
from nextgpt.testing.model import fake_model
from nextgpt.testing.serial_engine import SerialEngine

Serving = Callable[..., AbstractContextManager[str]]
SECRET = "my secret words"


def chat(words: str, **more: object) -> dict[str, Any]:
    return {"model": "nano", "messages": [{"role": "user", "content": words}], "stream": True} | more


def listen(address: str, asked: dict[str, Any], lines: list[str], has_begun: threading.Event) -> None:
    with httpx.stream("POST", f"{address}/v1/chat/completions", json=asked, timeout=60, trust_env=False) as answer:
        for line in answer.iter_lines():
            if line.startswith("data: "):
                lines.append(line.removeprefix("data: "))
                has_begun.set()


def test_an_answer_that_is_being_made_is_finished_before_the_server_stops(serving: Serving):
    engine = LocalEngine(fake_model(), "nano", EngineSettings(max_running=8))
    asked = chat("z", modalities=["text"], temperature=1, max_completion_tokens=60)
    lines: list[str] = []
    has_begun = threading.Event()
    with serving(engine, wait_s=60) as address:
        listener = threading.Thread(target=listen, args=(address, asked, lines, has_begun))
        listener.start()
        assert has_begun.wait(60)
    listener.join(60)
    assert lines[-1] == "[DONE]"
    assert json.loads(lines[-2])["choices"][0]["finish_reason"] in ("stop", "length")
    assert not engine.is_ready


def test_an_answer_that_takes_too_long_is_called_off_and_its_client_told(serving: Serving, studio: Any):
    lines: list[str] = []
    has_begun = threading.Event()
    with serving(SerialEngine(studio)) as address:
        listener = threading.Thread(target=listen, args=(address, chat("slow"), lines, has_begun))
        listener.start()
        assert has_begun.wait(60)
    listener.join(60)
    assert lines[-1] == "[DONE]" and "stopping" in json.loads(lines[-2])["error"]["message"]
    assert studio.closed.wait(30)


def test_the_log_has_a_line_a_request_without_what_was_said(
    serving: Serving, studio: Any, caplog: pytest.LogCaptureFixture
):
    with caplog.at_level(logging.INFO, logger="nextgpt.serve"), serving(SerialEngine(studio)) as address:
        answer = httpx.post(f"{address}/v1/chat/completions", json=chat(SECRET), timeout=60, trust_env=False)
        httpx.get(f"{address}/v1/files/file-{SECRET.replace(' ', '-')}", trust_env=False)
    lines = [json.loads(record.message) for record in caplog.records if record.name == "nextgpt.serve.access"]
    assert [(line["method"], line["route"], line["status"]) for line in lines] == [
        ("POST", "/v1/chat/completions", 200),
        ("GET", "/v1/files/{file_id}", 404),
    ]
    assert lines[0]["id"] == answer.headers["x-request-id"] and lines[0]["seconds"] > 0
    assert "secret" not in caplog.text


def test_metrics_tell_first_words_steps_queue_and_memory(serving: Serving):
    engine = LocalEngine(fake_model(), "nano", EngineSettings(max_running=8))
    with serving(engine) as address:
        asked = chat("z", modalities=["text", "image"], max_completion_tokens=40, stream=False)
        httpx.post(f"{address}/v1/chat/completions", json=asked, timeout=60, trust_env=False)
        picture = {"prompt": "x"}
        httpx.post(f"{address}/v1/images/generations", json=picture, timeout=60, trust_env=False)
        told = httpx.get(f"{address}/metrics", trust_env=False).text
    for name in (
        "nextgpt_time_to_first_token_seconds_count",
        'nextgpt_stage_seconds_count{stage="llm_step"}',
        'nextgpt_stage_seconds_count{stage="image_step"}',
        "nextgpt_queue_depth 0.0",
        "process_resident_memory_bytes",
    ):
        assert name in told, name


def test_no_file_outlives_its_server(serving: Serving, studio: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    body = chat("show me", stream=False, nextgpt={"media": "url"})
    with serving(SerialEngine(studio)) as address:
        answer = httpx.post(f"{address}/v1/chat/completions", json=body, timeout=60, trust_env=False).json()
        url = answer["choices"][0]["message"]["images"][0]["image_url"]["url"]
        (folder,) = tmp_path.iterdir()
        os.utime(folder, (0, 0))
        with serving(SerialEngine(studio)):  # removes what no server uses
            assert httpx.get(url, trust_env=False).status_code == 200
    assert not list(tmp_path.iterdir())


def test_files_of_a_killed_server_are_removed_at_the_next_start(
    serving: Serving, studio: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    code = """
from nextgpt.serve.file_store import FileStore
store = FileStore(ttl_s=60, max_bytes_per_owner=99, max_files_per_owner=9)
store.put(b"x", owner="", name="a", media_type="image/png", purpose="generated")
print(store.folder, flush=True)
input()
"""
    command = [sys.executable, "-c", code]
    environment = os.environ | {"TMPDIR": str(tmp_path)}
    with subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        folder = Path(process.stdout.readline().decode().strip())
        assert list(tmp_path.iterdir()) == [folder]
        process.kill()
    os.utime(folder, (0, 0))
    with serving(SerialEngine(studio)):
        assert not folder.exists()


def test_answers_are_compressed_but_media_and_streams_are_not(serving: Serving, studio: Any):
    headers = {"Accept-Encoding": "gzip"}
    with serving(SerialEngine(studio)) as address, httpx.Client(base_url=address, trust_env=False) as http:
        answer = http.post("/v1/chat/completions", json=chat("show me", stream=False), headers=headers)
        stream = http.post("/v1/chat/completions", json=chat("show me"), headers=headers)
        audio = http.post("/v1/audio/generate", json={"prompt": "x"}, headers=headers)
        plain = http.get("/openapi.json", headers={"Accept-Encoding": "identity"})
    assert answer.headers["content-encoding"] == "gzip" and answer.json()["choices"]
    assert len(audio.content) > 1000
    for response in (stream, audio, plain):
        assert "content-encoding" not in response.headers


def test_the_log_names_the_addresses_and_says_when_the_model_is_ready(
    serving: Serving, studio: Any, caplog: pytest.LogCaptureFixture
):
    with caplog.at_level(logging.INFO, logger="nextgpt.serve"), serving(SerialEngine(studio)) as address:
        deadline = time.monotonic() + 30
        while "ready" not in caplog.messages and time.monotonic() < deadline:
            time.sleep(0.01)
    addresses, ready = [record.message for record in caplog.records if record.name == "nextgpt.serve"][:2]
    assert ready == "ready"
    for path in ("/", "/v1", "/docs", "/metrics"):
        assert f"{address}{path}\n" in addresses
