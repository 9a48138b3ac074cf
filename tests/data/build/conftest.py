"""Recipes with the mock endpoint, and rows whose media are tiny files instead of a model's."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import uvicorn

from nextgpt.data.build.recipe import BuildRecipe
from nextgpt.data.build.row import BuildRow, Candidate
from nextgpt.data.build.writing import write_dialogues
from nextgpt.testing.llm_endpoint import Faults, Traffic, create_app
from nextgpt.testing.scripted_model import tiny_audio, tiny_image, tiny_video

TINY = {"image": (tiny_image, ".png"), "audio": (tiny_audio, ".wav"), "video": (tiny_video, ".mp4")}


@pytest.fixture
def make_recipe(tmp_path: Path) -> Callable[..., BuildRecipe]:
    def make(**settings: object) -> BuildRecipe:
        base = {
            "kind": "mosit",
            "work": tmp_path / "work",
            "dialogues": 8,
            "llm": {"urls": ["mock"], "model": "mock", "price_input": 1, "price_output": 4, "max_wait_s": 0.01},
            "media": {"mode": "none"},
        }
        return BuildRecipe.model_validate(base | settings)

    return make


def with_tiny_media(rows: list[BuildRow], work: Path) -> list[BuildRow]:
    """Give every medium the same tiny file of its modality, under a name of its own."""
    result = []
    for row in rows:
        index = 0
        messages = []
        for message in row.messages:
            parts = []
            for part in message.content:
                if part.type != "text":
                    create, suffix = TINY[part.type]
                    path = work / "media" / part.type / f"{row.id}-{index}{suffix}"
                    path.parent.mkdir(parents=True, exist_ok=True)
                    create().save(path)
                    index += 1
                    chosen = Candidate(
                        path=path.relative_to(work).as_posix(),
                        source="tiny",
                        licence="MIT",
                        made_by=f"test {path.name}",
                    )
                    part = part.with_candidate(chosen)
                parts.append(part)
            messages.append(message.model_copy(update={"content": tuple(parts)}))
        result.append(row.model_copy(update={"messages": tuple(messages), "stage": "media"}))
    return result


def write(rows: list[BuildRow], recipe: BuildRecipe) -> list[BuildRow]:
    return write_dialogues(rows, recipe, lambda done, total: None)


@contextmanager
def serve(faults: Faults = Faults(), *, delay_s: float = 0.0) -> Iterator[tuple[str, Traffic]]:
    """Serve the mock endpoint over a real socket in a thread."""
    app = create_app(faults, delay_s=delay_s)
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=0, log_level="critical"))
    thread = threading.Thread(target=lambda: asyncio.run(server.serve()), daemon=True)
    thread.start()
    while not server.started:
        threading.Event().wait(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    try:
        yield f"http://127.0.0.1:{port}/v1", app.state.traffic
    finally:
        server.should_exit = True
        server.force_exit = True
        thread.join(timeout=10)
