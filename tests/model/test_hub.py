"""Repositories come from the Hub whole: against a small Hub of our own, on this machine, that breaks off when told."""

from __future__ import annotations

import errno
import functools
import json
import threading
from collections import Counter
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import huggingface_hub
import pytest

from nextgpt.config import ComponentSource
from nextgpt.errors import ModelError
from nextgpt.model.hub import download_snapshot, resolve_component_dir

COMMIT = "a" * 40
FILES = {"config.json": b"{}", "model.safetensors": bytes(range(256)) * 4096, "pytorch_model.bin": b"pickle"}


class Hub(ThreadingHTTPServer):
    """Serves one repository, owner/name; while ``breaks`` it sends half of the weights and then refuses."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.breaks = False
        self.sent: Counter[str] = Counter()
        self.config_is_sent = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    server: Hub

    def log_message(self, *arguments: object) -> None:
        pass

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        if path == "/api/models/owner/name/revision/main":
            return self._json({"id": "owner/name", "sha": COMMIT})
        if path == f"/api/models/owner/name/tree/{COMMIT}":
            return self._json(
                [{"type": "file", "path": name, "size": len(data), "oid": name} for name, data in FILES.items()]
            )
        name = path.removeprefix(f"/owner/name/resolve/{COMMIT}/")
        if name not in FILES:
            return self.send_error(404)
        return self._file(name)

    def _json(self, value: object) -> None:
        data = json.dumps(value).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def _file(self, name: str) -> None:
        data, is_asked = FILES[name], self.command == "GET"
        breaks = self.server.breaks and is_asked and name == "model.safetensors"
        if breaks and self.server.sent[name]:
            return self.send_error(500)
        self.send_response(200)
        for key, value in {"ETag": f'"{name}"', "X-Repo-Commit": COMMIT, "Content-Length": str(len(data))}.items():
            self.send_header(key, value)
        self.end_headers()
        if not is_asked:
            return
        self.server.sent[name] += 1
        if breaks:
            self.server.config_is_sent.wait(10)
            self.wfile.write(data[: len(data) // 2])
            self.close_connection = True
        else:
            self.wfile.write(data)
            self.wfile.flush()
            if name == "config.json":
                self.server.config_is_sent.set()


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    server = Hub()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    download = functools.partial(
        huggingface_hub.snapshot_download, endpoint=server.url, cache_dir=tmp_path / "cache", token=False
    )
    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    yield server
    server.shutdown()
    server.server_close()


def told(caught: pytest.ExceptionInfo[ModelError]) -> str:
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_repository_comes_without_its_pickles_and_once(hub: Hub):
    folder = resolve_component_dir(ComponentSource(hub="owner/name"), Path())
    assert {path.name for path in folder.iterdir()} == {"config.json", "model.safetensors"}
    assert (folder / "model.safetensors").read_bytes() == FILES["model.safetensors"]
    assert download_snapshot("owner/name") == folder
    assert hub.sent == {"config.json": 1, "model.safetensors": 1}


def test_a_broken_download_is_taken_up_and_nothing_half_written_is_taken_for_whole(hub: Hub, tmp_path: Path):
    hub.breaks = True
    with pytest.raises(ModelError, match="cannot be downloaded.*Run this again: complete files are kept") as caught:
        download_snapshot("owner/name")
    told(caught)
    half = [path for path in (tmp_path / "cache").rglob("*.safetensors") if path.is_file()]
    assert half == [], "what is half written does not stand under its own name"

    hub.breaks = False
    folder = download_snapshot("owner/name")
    assert (folder / "model.safetensors").read_bytes() == FILES["model.safetensors"]
    assert hub.sent["config.json"] == 1, "what came whole is not fetched again"


def test_a_broken_download_is_no_model_when_the_network_is_gone(hub: Hub):
    hub.breaks = True
    with pytest.raises(ModelError):
        download_snapshot("owner/name")
    hub.shutdown()
    hub.server_close()
    with pytest.raises(ModelError, match="only partly downloaded, and the Hub cannot be reached") as caught:
        download_snapshot("owner/name")
    told(caught)


def test_without_a_network_it_is_said_and_what_is_there_whole_still_serves(hub: Hub):
    folder = download_snapshot("owner/name")
    hub.shutdown()
    hub.server_close()
    assert download_snapshot("owner/name") == folder
    with pytest.raises(ModelError, match="other/name is not on this machine, and the Hub cannot be reached") as caught:
        download_snapshot("other/name")
    told(caught)


def test_a_repository_that_is_not_there_is_named(hub: Hub):
    for name in ("owner/nothing", "no repository at all"):
        with pytest.raises(ModelError, match=f"{name} is not on the Hub or|{name} is not on this machine") as caught:
            download_snapshot(name)
        told(caught)


def test_a_full_disk_is_named(monkeypatch: pytest.MonkeyPatch):
    def refuse(*arguments: object, **options: object) -> str:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", refuse)
    with pytest.raises(ModelError, match="owner/name does not fit on the disk.*HF_HOME") as caught:
        download_snapshot("owner/name")
    told(caught)
