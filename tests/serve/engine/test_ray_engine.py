"""The engine of a cluster and its replicas, without a cluster: handles that call them here, by way of pickles."""

from __future__ import annotations

import asyncio
import pickle
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

pytest.importorskip("ray", reason="needs Ray; install the extra dev or ray")

from ray.exceptions import ActorDiedError, RayTaskError

from nextgpt.errors import NextGPTError
from nextgpt.message import Conversation, DenoisingProgress, Medium, Reply, Sampling, Text, TextDelta
from nextgpt.model.encoding.base import Features
from nextgpt.model.nextgpt import NextGPT
from nextgpt.serve.engine.base import EngineError, EngineRequest, EngineSettings, QueueFullError, RequestOutput
from nextgpt.serve.engine.ray.config import RayConfig
from nextgpt.serve.engine.ray.engine import RayEngine, StageHandles
from nextgpt.serve.engine.ray.replicas import EncoderReplica, LLMReplica, ReplicaConfig, SynthesizerReplica
from nextgpt.testing.model import write_tiny_model
from nextgpt.testing.scripted_model import tiny_audio, tiny_image

SETTINGS = EngineSettings(max_running=4, max_waiting=8)
MODALITIES = ("image", "audio", "video")


class Handle:
    """A method of a replica of this process; ``deaths`` says after how many events each of its first calls dies."""

    def __init__(self, method: Any, *deaths: int, is_stream: bool = True) -> None:
        self._method = method
        self._is_stream = is_stream
        self.deaths = list(deaths)
        self.calls = 0

    def remote(self, *arguments: Any) -> Any:
        self.calls += 1
        sent = pickle.loads(pickle.dumps(arguments))
        if not self._is_stream:
            return self._method(*sent)
        return Stream(self._method(*sent), self.deaths.pop(0) if self.deaths else None)


class Stream:
    """What a streaming call gives."""

    def __init__(self, events: AsyncIterator[Any], dies_after: int | None) -> None:
        self._events = events
        self._left = dies_after

    def __aiter__(self) -> Stream:
        return self

    async def __anext__(self) -> Any:
        if self._left == 0:
            await self._events.aclose()
            raise ActorDiedError()
        self._left = None if self._left is None else self._left - 1
        try:
            return pickle.loads(pickle.dumps(await anext(self._events)))
        except NextGPTError as error:
            raise RayTaskError("speak", "a long traceback", error) from None

    def cancel(self) -> None:
        asyncio.get_running_loop().create_task(self._events.aclose())


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(write_tiny_model(tmp_path_factory.mktemp("tiny")))


@pytest.fixture(scope="module")
def steps(folder: str) -> StageHandles:
    """One replica of every step."""
    place = ReplicaConfig(folder, "cpu", 1)
    encoder, speaker = EncoderReplica(place), LLMReplica(place, SETTINGS)
    makers = {name: SynthesizerReplica(place, SETTINGS, name) for name in MODALITIES}

    async def encode(medium: Medium) -> Features:  # Ray batches in replicas alone
        (features,) = await encoder.encode_all([medium])
        return features

    return StageHandles(
        encode=Handle(encode, is_stream=False),
        embed=Handle(encoder.embed, is_stream=False),
        run_llm=Handle(speaker.generate),
        synthesize={name: Handle(maker.synthesize) for name, maker in makers.items()},
    )


@pytest.fixture
def engine(folder: str, steps: StageHandles) -> Iterator[RayEngine]:
    made = RayEngine(folder, "tiny", SETTINGS, RayConfig(stage_timeout_s=60), connect=lambda: steps)
    made.start()
    deadline = time.monotonic() + 60
    while not made.is_ready and time.monotonic() < deadline:
        time.sleep(0.01)
    yield made
    made.close()


def told(reply: Reply) -> list[object]:
    return [part.text if isinstance(part, Text) else part.modality for part in reply.parts]


def job(words: str, *modalities: str, seed: int = 3) -> EngineRequest:
    sampling = Sampling(seed=seed, temperature=1.0, max_tokens=40, modalities=modalities or None)
    return EngineRequest(Conversation().with_message([words, tiny_image(), tiny_audio()]), sampling, has_previews=True)


def answers(engine: RayEngine, *jobs: EngineRequest) -> list[list[Any]]:
    async def ask() -> list[list[Any]]:
        async def all_of(ticket: Any) -> list[Any]:
            return [event async for event in ticket.events()]

        return await asyncio.gather(*(all_of(ticket) for ticket in engine.submit(jobs)))

    return asyncio.run(ask())


def test_answers_are_those_of_the_model_itself(engine: RayEngine, folder: str):
    model = NextGPT.from_pretrained(folder)
    asked = [job("a", "image", "audio", "video"), job("b", "text"), job("c", seed=9)]
    for one, events in zip(asked, answers(engine, *asked), strict=True):
        assert isinstance(events[-1], RequestOutput) and events[-1].prompt_tokens > 0
        assert told(events[-1].reply) == told(model.chat(one.conversation, one.sampling))
    assert engine.num_unfinished == 0


def test_a_speaker_that_dies_is_replaced_without_a_word_said_twice(engine: RayEngine, steps: StageHandles):
    whole = answers(engine, job("words", "text"))[0]
    steps.run_llm.deaths[:] = [2, 0, 1]
    again = answers(engine, job("words", "text"))[0]
    said = ["".join(event.text for event in events if isinstance(event, TextDelta)) for events in (whole, again)]
    assert said[0] == said[1] != "" and told(whole[-1].reply) == told(again[-1].reply)
    assert steps.run_llm.deaths == []


def test_a_synthesizer_that_dies_begins_anew_and_its_steps_are_told_once(engine: RayEngine, steps: StageHandles):
    steps.synthesize["image"].deaths[:] = [2]
    events = answers(engine, job("draw", "image"))[0]
    assert isinstance(events[-1], RequestOutput) and events[-1].reply.images
    told_steps = Counter(event.step for event in events if isinstance(event, DenoisingProgress))
    assert set(told_steps.values()) == {len(events[-1].reply.images)}


def test_a_mistake_is_told_in_the_models_words(engine: RayEngine):
    with pytest.raises(NextGPTError, match="empty") as error:
        answers(engine, EngineRequest(Conversation(), Sampling()))
    assert "traceback" not in str(error.value)


def test_places_are_bounded_and_free_at_once_when_somebody_leaves(engine: RayEngine):
    async def ask() -> None:
        tickets = engine.submit([job("x", "text")] * 8)
        with pytest.raises(QueueFullError):
            engine.submit([job("x", "text")])
        for ticket in tickets:
            ticket.cancel()
        assert engine.num_unfinished == 0
        await asyncio.sleep(0.05)

    asyncio.run(ask())


def test_before_the_steps_run_it_says_so(folder: str):
    made = RayEngine(folder, "tiny", SETTINGS, RayConfig(), connect=lambda: pytest.fail("not called"))
    with pytest.raises(EngineError, match="still starting"):
        made.submit([job("x")])
    assert not made.is_ready and len(asyncio.run(_embedded(made))) == 0


async def _embedded(engine: RayEngine) -> list[list[float]]:
    with pytest.raises(EngineError, match="still starting"):
        await engine.embed(["x"])
    return []


def test_media_are_embedded(engine: RayEngine):
    (vector,) = asyncio.run(engine.embed([tiny_image()]))
    assert abs(sum(value * value for value in vector) - 1) < 1e-4
