"""Calls of replicas that die, fall silent or fail: asked anew, failed in words, and never left hanging."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("ray", reason="needs Ray; install the extra dev or ray")

from ray.exceptions import ActorDiedError, RayTaskError

from nextgpt.errors import ConfigError, ConversationError
from nextgpt.serve.engine.base import EngineError
from nextgpt.serve.engine.ray.config import RayConfig, StageConfig, read_ray_config
from nextgpt.serve.engine.ray.retry import RetryingStage


class Stream:
    """What a handle gives for a streaming call, from a script of events and errors."""

    def __init__(self, script: list[Any]) -> None:
        self.is_cancelled = False
        self._script = iter(script)

    def __aiter__(self) -> AsyncIterator[Any]:
        return self

    async def __anext__(self) -> Any:
        event = next(self._script, StopAsyncIteration())
        if event == "silence":
            await asyncio.sleep(60)
        if isinstance(event, BaseException):
            raise event
        return event

    def cancel(self) -> None:
        self.is_cancelled = True


class Streaming:
    """A method whose calls go by one script each."""

    def __init__(self, *scripts: list[Any]) -> None:
        self._scripts = iter(scripts)
        self.streams: list[Stream] = []

    def remote(self, *_: object) -> Stream:
        self.streams.append(Stream(next(self._scripts)))
        return self.streams[-1]


def collect(method: Streaming, **settings: Any) -> list[tuple[bool, Any]]:
    async def listen() -> list[tuple[bool, Any]]:
        calls = RetryingStage("llm", **{"max_attempts": 3, "timeout_s": 5.0} | settings)
        return [event async for event in calls.stream(method)]

    return asyncio.run(listen())


def test_a_call_whose_replica_dies_is_made_again_and_says_so():
    method = Streaming(["a", ActorDiedError()], [ActorDiedError()], ["a", "b"])
    assert collect(method) == [(False, "a"), (True, "a"), (False, "b")]


def test_after_so_many_tries_the_answer_fails_in_words():
    with pytest.raises(EngineError, match="llm stage lost its replica in every attempt"):
        collect(Streaming([ActorDiedError()], [ActorDiedError()]), max_attempts=2)


def test_a_mistake_of_the_asker_comes_back_as_it_was_and_is_not_tried_again():
    mistake = ConversationError("it is empty; expected words. Say something.")
    method = Streaming([RayTaskError("speak", "a long traceback", mistake)])
    with pytest.raises(ConversationError) as error:
        collect(method)
    assert str(error.value) == str(mistake) and len(method.streams) == 1


def test_silence_ends_and_the_replica_is_told():
    method = Streaming(["a", "silence"])
    with pytest.raises(EngineError, match="did not respond for 0.05 s"):
        collect(method, timeout_s=0.05)
    assert method.streams[0].is_cancelled


def test_who_stops_listening_stops_the_replica():
    method = Streaming(["a", "b", "c"])

    async def leave() -> None:
        async with aclosing(RetryingStage("llm", max_attempts=1, timeout_s=5.0).stream(method)) as events:
            async for _ in events:
                break

    asyncio.run(leave())
    assert method.streams[0].is_cancelled


def test_a_single_result_is_asked_for_again_too():
    class Once:
        calls = 0

        def remote(self, item: str) -> Any:
            async def answer() -> str:
                Once.calls += 1
                if Once.calls == 1:
                    raise ActorDiedError()
                return item

            return answer()

    async def ask() -> str:
        return await RetryingStage("encoder", max_attempts=2, timeout_s=5.0).call(Once(), "x")

    assert asyncio.run(ask()) == "x"


def test_a_step_grows_only_where_it_is_allowed_to():
    fixed, growing = StageConfig(min_replicas=2, max_replicas=2), StageConfig(max_replicas=4, num_gpus=0.5)
    assert fixed.deployment_options()["num_replicas"] == 2 and fixed.device == "cpu"
    options = growing.deployment_options()
    assert options["autoscaling_config"]["max_replicas"] == 4 and "num_replicas" not in options
    assert options["ray_actor_options"]["num_gpus"] == 0.5 and growing.device == "cuda"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("lmm: {}", "llm"),
        ("llm: {cpus: 2}", "num_cpus"),
        ("patience_s: 5", "stage_timeout_s"),
        ("llm: {max_replicas: 0}", "max_replicas"),
        ("[1]", "list"),
        ("{", "cannot be read"),
    ],
)
def test_a_wrong_file_is_told_in_words(tmp_path: Path, text: str, says: str):
    file = tmp_path / "steps.yaml"
    file.write_text(text)
    with pytest.raises(ConfigError, match=says):
        read_ray_config(file)
    with pytest.raises(ConfigError, match="cannot be read"):
        read_ray_config(tmp_path / "missing.yaml")


def test_no_setting_is_every_default(tmp_path: Path):
    file = tmp_path / "steps.yaml"
    file.write_text("# nothing\n")
    assert read_ray_config(file) == RayConfig()
