"""The load test finds no lost or mixed-up reply where there is none, and detects a different one."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager

import httpx
import pytest
import typer
from benchmarks.serving.client import LoadClient, TimedReply, replies_match
from benchmarks.serving.measurements import ConcurrentResult, SequentialResult, run_concurrent, run_sequential
from benchmarks.serving.run import main
from benchmarks.serving.workload import make_scripts
from typer.testing import CliRunner

from nextgpt.errors import ConfigError
from nextgpt.serve.engine.base import EngineSettings
from nextgpt.serve.engine.local import LocalEngine
from nextgpt.testing.model import tiny_model

Serving = Callable[..., AbstractContextManager[str]]


@pytest.fixture(scope="module")
def address(serving: Serving) -> Iterator[str]:
    """A server around a tiny model, whose media differ from one another as those of fakes do not."""
    with serving(LocalEngine(tiny_model(), "tiny", EngineSettings(max_running=8))) as url:
        yield url


def test_under_load_nothing_is_lost_or_mixed_up(address: str):
    async def measure() -> tuple[SequentialResult, ConcurrentResult]:
        async with httpx.AsyncClient(base_url=address, timeout=120, trust_env=False) as http:
            client, scripts = LoadClient(http, "tiny"), make_scripts(16)
            reference = await run_sequential(client, scripts)
            return reference, await run_concurrent(client, reference, scripts, concurrency=12, seconds=1)

    reference, result = asyncio.run(measure())
    assert (result.failed, result.different) == (0, 0)
    assert result.replies >= 24 and result.warm_bytes > 0 and result.end_bytes > 0
    replies = [reply for conversation in reference.replies.values() for reply in conversation]
    kinds = {part["type"] for reply in replies for part in reply.message["parts"]}
    assert {"image_url", "audio_url", "video_url"} <= kinds, "the conversations have media of every kind"


def test_a_different_reply_is_detected(address: str):
    async def run() -> list[TimedReply]:
        async with httpx.AsyncClient(base_url=address, timeout=120, trust_env=False) as http:
            return await LoadClient(http, "tiny").run_conversation(make_scripts(6)[5])

    replies = asyncio.run(run())
    message = replies[0].message
    other = copy.deepcopy(message)
    assert replies_match(message, other)
    other["parts"] = other["parts"][:-1]
    assert not replies_match(message, other) and not replies_match(message, replies[1].message)


def test_only_servers_of_this_machine_are_accepted():
    app = typer.Typer()
    app.command()(main)
    result = CliRunner().invoke(app, ["--url", "http://192.0.2.1:8000"])
    assert isinstance(result.exception, ConfigError) and "loopback" in str(result.exception)
