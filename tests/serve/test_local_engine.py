"""The scheduler: answers do not depend on who is served beside them, and nobody who left is worked for."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from nextgpt.errors import NextGPTError
from nextgpt.message import Conversation, Reply, Sampling, Text
from nextgpt.model.nextgpt import NextGPT
from nextgpt.serve.engine.base import EngineError, EngineRequest, EngineSettings, QueueFullError, RequestOutput
from nextgpt.serve.engine.local import LocalEngine
from nextgpt.testing.model import fake_model
from nextgpt.testing.scripted_model import tiny_audio, tiny_image


@pytest.fixture(scope="module")
def model() -> NextGPT:
    """A tiny language model between an encoder and synthesizers that are fakes."""
    return fake_model()


@pytest.fixture
def engine(model: NextGPT) -> Iterator[LocalEngine]:
    made = LocalEngine(model, "tiny", EngineSettings(max_running=4, max_waiting=24))
    made.start()
    yield made
    made.close()


KINDS = (None, ("image",), ("text",), ("audio", "video"))


def jobs(count: int, *, max_tokens: int = 40) -> list[EngineRequest]:
    """Conversations that differ in words, media, seed and length."""
    return [
        EngineRequest(
            Conversation().with_message(
                [*[tiny_image((row, 0, 0))] * (row % 2), "x" * (row + 1), *[tiny_audio()] * (row % 3)]
            ),
            Sampling(seed=row, temperature=1.0, max_tokens=max_tokens - row, modalities=KINDS[row % len(KINDS)]),
        )
        for row in range(count)
    ]


def told(reply: Reply) -> list[object]:
    return [part.text if isinstance(part, Text) else part.digest for part in reply.parts]


def test_answers_are_those_that_each_gets_alone(model: NextGPT, engine: LocalEngine):
    asked = jobs(10)
    alone = [model.chat(job.conversation, job.sampling) for job in asked]

    async def ask() -> list[RequestOutput]:
        tickets = engine.submit(asked[:6])
        await asyncio.sleep(0.05)  # the others come while the first are being answered
        tickets += engine.submit(asked[6:])
        return await asyncio.gather(*(ticket.result() for ticket in tickets))

    together = asyncio.run(ask())
    assert [told(answer.reply) for answer in together] == [told(reply) for reply in alone]
    assert any(reply.images or reply.audios or reply.videos for reply in alone), "some answer holds media"
    assert engine.num_unfinished == 0


def test_media_of_several_answers_are_made_in_one_batch(
    model: NextGPT, engine: LocalEngine, monkeypatch: pytest.MonkeyPatch
):
    synthesizer = model.synthesizer("image")
    synthesizer.calls.clear()
    denoise = synthesizer.denoise

    def slow_at_first(*conditions: Any, **settings: Any) -> Any:
        if not synthesizer.calls:
            time.sleep(2)  # meanwhile the others gather
        return denoise(*conditions, **settings)

    monkeypatch.setattr(synthesizer, "denoise", slow_at_first)
    asked = [
        EngineRequest(Conversation().with_message("y" * n), Sampling(modalities=("image",), max_tokens=4))
        for n in range(1, 5)
    ]

    async def ask() -> list[RequestOutput]:
        return await asyncio.gather(*(ticket.result() for ticket in engine.submit(asked)))

    answers = asyncio.run(ask())
    assert all(len(answer.reply.images) == 1 for answer in answers)
    assert len(synthesizer.calls) < len(asked)


def test_more_than_may_wait_is_refused_whole(engine: LocalEngine):
    async def ask() -> None:
        tickets = engine.submit(jobs(20))
        with pytest.raises(QueueFullError) as error:
            engine.submit(jobs(5))
        assert error.value.retry_after_s >= 1
        assert engine.num_unfinished <= 20
        for ticket in tickets:
            ticket.cancel()
        assert engine.num_unfinished == 0

    asyncio.run(ask())


def test_who_leaves_frees_the_place_at_once_and_is_worked_for_no_further(engine: LocalEngine):
    endless = EngineRequest(
        Conversation().with_message("z"), Sampling(temperature=1.0, max_tokens=400, modalities=("text",))
    )

    async def ask() -> int:
        (ticket,) = engine.submit([endless])
        async for _ in ticket.events():
            break
        ticket.cancel()
        (other,) = engine.submit(jobs(1))
        await other.result()
        return len(engine._llm_scheduler._running)

    assert asyncio.run(ask()) == 0


def test_a_mistake_of_one_conversation_leaves_the_others_alone(engine: LocalEngine):
    async def ask() -> RequestOutput:
        good, bad = engine.submit([*jobs(1), EngineRequest(Conversation(), Sampling())])
        with pytest.raises(NextGPTError, match="empty"):
            await bad.result()
        return await good.result()

    assert asyncio.run(ask()).completion_tokens > 0


def test_a_synthesizer_that_breaks_fails_its_answers_and_not_the_engine(
    model: NextGPT, engine: LocalEngine, monkeypatch: pytest.MonkeyPatch
):
    def broken(*_: object, **__: object) -> Iterator[None]:
        raise RuntimeError("secret inner words")

    asked = EngineRequest(Conversation().with_message("y"), Sampling(modalities=("image",), max_tokens=4))

    async def ask() -> RequestOutput:
        (ticket,) = engine.submit([asked])
        return await ticket.result()

    with monkeypatch.context() as patched:
        patched.setattr(model.synthesizer("image"), "denoise", broken)
        with pytest.raises(EngineError) as error:
            asyncio.run(ask())
    assert "secret" not in str(error.value)
    assert len(asyncio.run(ask()).reply.images) == 1


def test_a_later_turn_feeds_only_what_is_new(model: NextGPT, engine: LocalEngine):
    first = Conversation().with_message("hello there, this is a long beginning")

    async def ask(conversation: Conversation) -> RequestOutput:
        (ticket,) = engine.submit([EngineRequest(conversation, Sampling(modalities=("text",), max_tokens=8))])
        return await ticket.result()

    answer = asyncio.run(ask(first))
    later = first.with_reply(answer.reply).with_message("and?")
    keys = model.llm.build_prompt(later).cache_keys(model.llm.soft_tokens)
    deadline = time.monotonic() + 30  # the answer is told before it is remembered
    while (known := model.llm.prefix_cache.match_prefix(keys)) is None and time.monotonic() < deadline:
        time.sleep(0.01)
    assert known is not None and known.length > answer.prompt_tokens


def test_embeddings_of_texts_and_media_have_length_one(engine: LocalEngine):
    vectors = np.array(asyncio.run(engine.embed([tiny_image(), tiny_audio(), tiny_image()])))
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1)
    assert np.allclose(vectors[0], vectors[2]) and not np.allclose(vectors[0], vectors[1])


def test_closing_ends_what_is_being_answered(model: NextGPT):
    made = LocalEngine(model, "tiny")
    made.start()

    async def ask() -> None:
        (ticket,) = made.submit(
            [EngineRequest(Conversation().with_message("z"), Sampling(temperature=1.0, max_tokens=400))]
        )
        await asyncio.to_thread(made.close)
        with pytest.raises(EngineError, match="stopping"):
            await ticket.result()
        with pytest.raises(EngineError, match="stopping"):
            made.submit(jobs(1))

    asyncio.run(ask())
