"""What is measured, one figure a function; each compares two things in the same run, as machines are noisy."""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass

from nextgpt.serve.load.asking import Answer, Asker, is_same
from nextgpt.serve.load.scripts import Script, Turn

MEMORY = "process_resident_memory_bytes"
QUEUE = "nextgpt_queue_depth"
FILM_STEPS = 'nextgpt_stage_seconds_count{stage="video_step"}'


@dataclass(frozen=True)
class Alone:
    """What each conversation gets when nobody else asks."""

    answers: dict[int, list[Answer]]
    per_s: float
    """Answers a second, one after another."""


@dataclass
class Borne:
    """What happened under load."""

    answers: int = 0
    failed: int = 0
    other_than_alone: int = 0
    seconds: float = 0.0
    warm_bytes: float = 0.0
    end_bytes: float = 0.0


async def alone(asker: Asker, scripts: Sequence[Script]) -> Alone:
    """Ask one conversation after another."""
    start = time.perf_counter()
    answers = {script.number: await asker.converse(script) for script in scripts}
    count = sum(len(found) for found in answers.values())
    return Alone(answers, count / (time.perf_counter() - start))


async def together(
    asker: Asker, known: Alone, scripts: Sequence[Script], *, at_once: int, seconds: float
) -> Borne:
    """Keep so many conversations open for so long; every answer is compared with what it is alone."""
    borne = Borne()
    start = time.perf_counter()
    end = start + seconds

    async def talk(first: int) -> None:
        place = first
        while time.perf_counter() < end:
            script = scripts[place % len(scripts)]
            place += at_once + 1  # so that neighbours change
            try:
                answers = await asker.converse(script)
            except Exception:
                borne.failed += 1
                continue
            borne.answers += len(answers)
            pairs = zip(answers, known.answers[script.number], strict=True)
            borne.other_than_alone += sum(not is_same(one.message, other.message) for one, other in pairs)

    async def watch() -> None:
        await asyncio.sleep(seconds / 4)
        borne.warm_bytes = (await asker.metrics())[MEMORY]

    await asyncio.gather(watch(), *(talk(number) for number in range(at_once)))
    borne.seconds = time.perf_counter() - start
    borne.end_bytes = (await asker.metrics())[MEMORY]
    return borne


async def first_words(asker: Asker, *, at_once: int, rounds: int) -> tuple[float, float]:
    """Median seconds to the first words: of one alone, and of so many that come at the same time, in turns."""
    lonely: list[float] = []
    crowded: list[float] = []
    for number in range(rounds):
        lonely += await asker.first_words_s([_greeting(1000 * number)])
        crowd = [_greeting(1000 * number + place) for place in range(1, at_once + 1)]
        crowded += await asker.first_words_s(crowd)
    return statistics.median(lonely), statistics.median(crowded)


def _greeting(number: int) -> Script:
    return Script(number, (Turn(f"Hello! What can you do? ({number})", None, ("text",)),))


@dataclass(frozen=True)
class Left:
    """What a client that left in the middle of a film cost."""

    step_s: float
    """What a step took while it listened."""
    freed_s: float
    """From its leaving until its place was free, as far as asking for metrics can tell."""
    steps_after: int
    """Steps that were begun or ended after it left."""


async def leaving(asker: Asker, *, steps: int = 60, leave_at: int = 10) -> Left:
    """Leave a film in the middle, and watch what is still worked on it."""
    before = (await asker.metrics()).get(FILM_STEPS, 0.0)
    step_s = await asker.leave_at(leave_at, steps=steps)
    left = time.perf_counter()
    while (await asker.metrics())[QUEUE] > 0 and time.perf_counter() - left < 60:
        await asyncio.sleep(0)
    freed_s = time.perf_counter() - left
    await asyncio.sleep(max(1.0, 5 * step_s))
    after = (await asker.metrics())[FILM_STEPS]
    return Left(step_s, freed_s, round(after - before) - leave_at)
