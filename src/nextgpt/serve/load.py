"""How much an engine bears: ``python -m nextgpt.serve.load [MODEL]`` compares batches with one answer after another.

Both engines get the same conversations in the same run, so that the ratio does not depend on the machine. Every answer
under load is compared with what the same conversation got alone: none may be lost or mixed up.
"""

from __future__ import annotations

import asyncio
import json
import resource
import statistics
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass

from nextgpt.message import Conversation, Medium, Reply, Sampling, Text, TextPiece
from nextgpt.serve.engine.base import Answered, Engine, Job
from nextgpt.testing.scripted import film, picture, sound

WISHES: tuple[tuple[str, tuple[Medium, ...], tuple[str, ...] | None], ...] = (
    ("What do you see?", (picture((200, 30, 30)),), ("text",)),
    ("Draw a cat.", (), None),
    ("What do you hear?", (sound(),), ("text",)),
    ("Let me hear a bell.", (), None),
    ("Hello! Who are you?", (), ("text",)),
    ("Show me a ball that moves.", (), None),
    ("What happens here?", (film(),), ("text",)),
    ("Draw a dog on a beach.", (), ("text", "image")),
)


@dataclass(frozen=True)
class Load:
    """What an engine did with a number of jobs."""

    seconds: float
    first_words_s: list[float]
    """Waiting time of each answer that had words."""
    replies: list[Reply]


def jobs(count: int) -> list[Job]:
    """Conversations of all kinds, no two alike."""
    return [
        Job(
            Conversation().say([*media, f"{words} ({number})"]),
            Sampling(seed=number, max_tokens=48, modalities=modalities),
        )
        for number in range(count)
        for words, media, modalities in [WISHES[number % len(WISHES)]]
    ]


async def bear(engine: Engine, work: Sequence[Job], *, at_once: int) -> Load:
    """Let an engine answer, with so many conversations open at any time."""
    places = asyncio.Semaphore(at_once)
    first_words_s: list[float] = []

    async def ask(job: Job) -> Reply:
        async with places:
            start = time.perf_counter()
            (ticket,) = engine.submit([job])
            is_silent = True
            async for event in ticket.events():
                if is_silent and isinstance(event, TextPiece):
                    is_silent = False
                    first_words_s.append(time.perf_counter() - start)
                if isinstance(event, Answered):
                    return event.reply
        raise AssertionError("an answer was lost")

    start = time.perf_counter()
    replies = await asyncio.gather(*(ask(job) for job in work))
    return Load(time.perf_counter() - start, first_words_s, list(replies))


def is_same(one: Reply, other: Reply) -> bool:
    """Whether two answers say the same words and place the same kinds of media; pixels may differ in rounding."""
    return [_told(part) for part in one.parts] == [_told(part) for part in other.parts]


def _told(part: Text | Medium) -> str:
    return part.text if isinstance(part, Text) else part.modality


def main(arguments: Sequence[str]) -> None:
    """Measure and print one JSON object."""
    from nextgpt.model.nextgpt import NextGPT
    from nextgpt.serve.engine.base import EngineSettings
    from nextgpt.serve.engine.batching import BatchingEngine
    from nextgpt.serve.engine.serial import SerialEngine

    name, count = arguments[0] if arguments else "nano", int(arguments[1]) if len(arguments) > 1 else 64
    model = NextGPT.from_pretrained(name)
    serial = SerialEngine(model)
    batching = BatchingEngine(model, settings=EngineSettings(max_running=64))
    serial.start()
    asyncio.run(bear(serial, jobs(len(WISHES)), at_once=1))  # everything is loaded and warm
    alone = asyncio.run(bear(serial, jobs(count), at_once=1))
    serial.close()
    batching.start()
    model.llm.prefixes.clear()
    together = asyncio.run(bear(batching, jobs(count), at_once=count))
    model.llm.prefixes.clear()
    lonely = asyncio.run(bear(batching, jobs(16), at_once=1))
    model.llm.prefixes.clear()
    sixteen = asyncio.run(bear(batching, jobs(64), at_once=16))
    batching.close()
    mixed_up = sum(not is_same(*pair) for pair in zip(alone.replies, together.replies, strict=True))
    first_alone, first_of_16 = (statistics.median(load.first_words_s) for load in (lonely, sixteen))
    told = {
        "model": name,
        "answers": count,
        "one_at_a_time_per_s": round(count / alone.seconds, 3),
        "together_per_s": round(count / together.seconds, 3),
        "ratio": round(alone.seconds / together.seconds, 2),
        "other_than_alone": mixed_up,
        "first_words_alone_s": round(first_alone, 4),
        "first_words_16_at_once_s": round(first_of_16, 4),
        "first_words_ratio": round(first_of_16 / first_alone, 2),
        "media": sum(len(reply.message.media) for reply in together.replies),
        "peak_memory_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
    }
    sys.stdout.write(json.dumps(told) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
