"""The load test: it finds nothing lost or mixed up where nothing is, and sees it where something is."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager

import httpx
import pytest
from typer.testing import CliRunner

from nextgpt.errors import ConfigError
from nextgpt.serve.engine.base import EngineSettings
from nextgpt.serve.engine.local import LocalEngine
from nextgpt.serve.load import measuring
from nextgpt.serve.load.__main__ import main
from nextgpt.serve.load.asking import Asker, is_same
from nextgpt.serve.load.scripts import scripts
from nextgpt.testing.model import tiny_model

Serving = Callable[..., AbstractContextManager[str]]


@pytest.fixture(scope="module")
def address(serving: Serving) -> Iterator[str]:
    """A server around a tiny model, whose media differ from one another as those of fakes do not."""
    with serving(LocalEngine(tiny_model(), "tiny", EngineSettings(max_running=8))) as at:
        yield at


def test_under_load_nothing_is_lost_or_mixed_up(address: str):
    async def bear() -> tuple[measuring.Alone, measuring.Borne]:
        async with httpx.AsyncClient(base_url=address, timeout=120, trust_env=False) as client:
            asker, plan = Asker(client, "tiny"), scripts(16)
            known = await measuring.alone(asker, plan)
            return known, await measuring.together(asker, known, plan, at_once=12, seconds=1)

    known, borne = asyncio.run(bear())
    assert (borne.failed, borne.other_than_alone) == (0, 0)
    assert borne.answers >= 24 and borne.warm_bytes > 0 and borne.end_bytes > 0
    kinds = {
        part["type"] for found in known.answers.values() for one in found for part in one.message["parts"]
    }
    assert {"image_url", "audio_url", "video_url"} <= kinds, "the conversations bring media of every kind"


def test_another_answer_is_seen(address: str):
    async def ask() -> list[measuring.Answer]:
        async with httpx.AsyncClient(base_url=address, timeout=120, trust_env=False) as client:
            return await Asker(client, "tiny").converse(scripts(6)[5])

    answers = asyncio.run(ask())
    message = answers[0].message
    other = copy.deepcopy(message)
    assert is_same(message, other)
    other["parts"] = other["parts"][:-1]
    assert not is_same(message, other) and not is_same(message, answers[1].message)


def test_only_servers_of_this_machine_are_asked():
    import typer

    app = typer.Typer()
    app.command()(main)
    result = CliRunner().invoke(app, ["--url", "http://192.0.2.1:8000"])
    assert isinstance(result.exception, ConfigError) and "loopback" in str(result.exception)
