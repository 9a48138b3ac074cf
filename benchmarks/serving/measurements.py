"""Measurements, one per function; each compares two things in the same run, because machines are noisy."""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.serving.client import LoadClient, TimedReply, replies_match
from benchmarks.serving.workload import ConversationScript, ScriptTurn

MEMORY = "process_resident_memory_bytes"
QUEUE_DEPTH = "nextgpt_queue_depth"
VIDEO_STEPS = 'nextgpt_stage_seconds_count{stage="video_step"}'


@dataclass(frozen=True)
class SequentialResult:
    """Replies of conversations that ran one after another."""

    replies: dict[int, list[TimedReply]]
    replies_per_s: float


@dataclass
class ConcurrentResult:
    """Replies under load."""

    replies: int = 0
    failed: int = 0
    different: int = 0
    """Replies that differ from those of the sequential run."""
    seconds: float = 0.0
    warm_bytes: float = 0.0
    """Memory of the server after a quarter of the time."""
    end_bytes: float = 0.0


@dataclass(frozen=True)
class DisconnectResult:
    """Cost of a client that disconnected during video generation."""

    step_s: float
    """Seconds per step before the disconnect."""
    freed_s: float
    """Seconds from the disconnect until the queue was empty, as seen in the metrics."""
    steps_after: int
    """Steps that ran after the disconnect."""


async def run_sequential(client: LoadClient, scripts: Sequence[ConversationScript]) -> SequentialResult:
    """Run one conversation after another."""
    start = time.perf_counter()
    replies = {script.number: await client.run_conversation(script) for script in scripts}
    count = sum(len(conversation) for conversation in replies.values())
    return SequentialResult(replies, count / (time.perf_counter() - start))


async def run_concurrent(
    client: LoadClient,
    reference: SequentialResult,
    scripts: Sequence[ConversationScript],
    *,
    concurrency: int,
    seconds: float,
) -> ConcurrentResult:
    """Keep ``concurrency`` conversations open for a while; compare every reply with the sequential run."""
    result = ConcurrentResult()
    start = time.perf_counter()
    end = start + seconds

    async def run_conversations(first: int) -> None:
        index = first
        while time.perf_counter() < end:
            script = scripts[index % len(scripts)]
            index += concurrency + 1  # so that neighbours change
            try:
                replies = await client.run_conversation(script)
            except Exception:
                result.failed += 1
                continue
            result.replies += len(replies)
            pairs = zip(replies, reference.replies[script.number], strict=True)
            result.different += sum(not replies_match(one.message, other.message) for one, other in pairs)

    async def record_memory() -> None:
        await asyncio.sleep(seconds / 4)
        result.warm_bytes = (await client.metrics())[MEMORY]

    await asyncio.gather(record_memory(), *(run_conversations(number) for number in range(concurrency)))
    result.seconds = time.perf_counter() - start
    result.end_bytes = (await client.metrics())[MEMORY]
    return result


async def measure_first_token(client: LoadClient, *, concurrency: int, rounds: int) -> tuple[float, float]:
    """Return the median seconds to the first token, of a single request and of concurrent ones, alternating."""
    single_s: list[float] = []
    concurrent_s: list[float] = []
    for number in range(rounds):
        single_s += await client.time_to_first_token([_greeting(1000 * number)])
        greetings = [_greeting(1000 * number + index) for index in range(1, concurrency + 1)]
        concurrent_s += await client.time_to_first_token(greetings)
    return statistics.median(single_s), statistics.median(concurrent_s)


def _greeting(number: int) -> ConversationScript:
    turn = ScriptTurn(f"Hello! What can you do? ({number})", None, ("text",))
    return ConversationScript(number, (turn,))


async def run_disconnect(client: LoadClient, *, num_steps: int = 60, at_step: int = 10) -> DisconnectResult:
    """Disconnect during video generation and count the steps that still run."""
    before = (await client.metrics()).get(VIDEO_STEPS, 0.0)
    step_s = await client.disconnect_at_step(at_step, num_inference_steps=num_steps)
    disconnected_at = time.perf_counter()
    while (await client.metrics())[QUEUE_DEPTH] > 0 and time.perf_counter() - disconnected_at < 60:
        await asyncio.sleep(0)
    freed_s = time.perf_counter() - disconnected_at
    await asyncio.sleep(max(1.0, 5 * step_s))
    after = (await client.metrics())[VIDEO_STEPS]
    return DisconnectResult(step_s, freed_s, round(after - before) - at_step)
