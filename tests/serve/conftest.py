"""A server on loopback around a model that answers from a script, and clients for it. No torch, no weights."""

from __future__ import annotations

import base64
import contextlib
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest
import uvicorn

from nextgpt.message import (
    Conversation,
    DenoisingProgress,
    Event,
    Medium,
    MediumFinished,
    Reply,
    ReplyFinished,
    Sampling,
    Text,
    TextDelta,
)
from nextgpt.serve.app import create_app
from nextgpt.serve.engine.base import Engine
from nextgpt.serve.engine.ray.config import RayConfig, configure_ray_environment
from nextgpt.serve.launch import UVICORN_OPTIONS, GracefulServer
from nextgpt.serve.settings import ServerSettings
from nextgpt.testing.scripted_model import ScriptedModel, tiny_audio, tiny_image, tiny_video
from nextgpt.testing.serial_engine import SerialEngine

configure_ray_environment(RayConfig())  # before any test file imports Ray, which reads this but once


@contextlib.contextmanager
def running(
    engine: Engine, settings: ServerSettings = ServerSettings(), *, wait_s: float = 0.5, **options: Any
) -> Iterator[str]:
    """Serve ``engine`` on a free port of loopback; yields the address. At the end it gets a signal, and ``wait_s``."""
    listener = socket.create_server(("127.0.0.1", 0))
    server = GracefulServer(
        uvicorn.Config(create_app(engine, settings, **options), **UVICORN_OPTIONS), engine, wait_s=wait_s
    )
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    deadline = time.monotonic() + 120
    while not server.started and time.monotonic() < deadline:
        time.sleep(0.01)
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.handle_exit(signal.SIGTERM, None)
        thread.join(timeout=60)
        listener.close()


@dataclass
class Studio(ScriptedModel):
    """Makes what ``modalities`` ask for, in three steps; a "slow" word makes it draw words until it is called off."""

    closed: threading.Event = field(default_factory=threading.Event)
    """Set when somebody left a slow answer."""
    samplings: list[Sampling] = field(default_factory=list)

    def stream(self, says: Conversation, sampling: Sampling) -> Iterator[Event]:
        self.samplings.append(sampling)
        if "pause" in says.messages[-1].text:
            time.sleep(0.3)
        if "slow" in says.messages[-1].text:
            yield from self._draw_out()
        elif sampling.modalities is None:
            yield from super().stream(says, sampling)
        else:
            self.received.append(says)
            yield from self._make(sampling)

    def _make(self, sampling: Sampling) -> Iterator[Event]:
        makers = {"text": lambda: Text("Yes."), "image": tiny_image, "audio": tiny_audio, "video": tiny_video}
        parts = tuple(makers[name]() for name in sampling.modalities)
        for part in parts:
            if isinstance(part, Text):
                yield TextDelta(part.text)
                continue
            yield from (DenoisingProgress(part.modality, step, 3, part) for step in (1, 2, 3))
            yield MediumFinished(part)
        yield ReplyFinished(Reply(parts, sampling.seed))

    def _draw_out(self) -> Iterator[Event]:
        try:
            for _ in range(12_000):
                yield TextDelta("and ")
                time.sleep(0.01)
        finally:
            self.closed.set()


@pytest.fixture(scope="session")
def model() -> Studio:
    """What answers; it remembers what it heard."""
    return Studio()


@pytest.fixture(scope="session")
def serving() -> Callable[..., contextlib.AbstractContextManager[str]]:
    """Serves an engine with settings of the test's own."""
    return running


@pytest.fixture(scope="module")
def studio() -> Studio:
    """A model of the test module's own."""
    return Studio()


@pytest.fixture(scope="session")
def address(model: Studio) -> Iterator[str]:
    """A server without keys."""
    with running(SerialEngine(model)) as at:
        yield at


@pytest.fixture(scope="session")
def client(address: str) -> Iterator[openai.OpenAI]:
    """OpenAI's own client."""
    with openai.OpenAI(base_url=f"{address}/v1", api_key="any", max_retries=0, timeout=120) as made:
        yield made


@pytest.fixture(scope="session")
def http(address: str) -> Iterator[httpx.Client]:
    """A plain client."""
    with httpx.Client(base_url=address, timeout=120, trust_env=False) as made:
        yield made


@pytest.fixture(scope="session")
def media_bytes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """A file of every modality."""
    folder = tmp_path_factory.mktemp("media")
    return {medium.modality: _bytes(medium, folder) for medium in (tiny_image(), tiny_audio(), tiny_video())}


def _bytes(medium: Medium, folder: Path) -> bytes:
    return medium.save(folder / medium.modality).read_bytes()


@pytest.fixture(scope="session")
def data_uri(media_bytes: dict[str, bytes]) -> Callable[[str], str]:
    """The data URI of a modality's file."""
    types = {"image": "image/png", "audio": "audio/wav", "video": "video/mp4"}
    return lambda name: f"data:{types[name]};base64,{base64.b64encode(media_bytes[name]).decode()}"
