"""``python -m benchmarks.serving.turns``: hold one long conversation and print one JSON object.

Every turn sends the whole conversation, as clients do; media are sent back by their addresses. Turns repeat in cycles,
so that turns of the same kinds are compared: the medians of the last three cycles, and of three around turn 10. Besides
the clock, the processor time of the server's process is compared, which other work on the machine changes less.
"""

from __future__ import annotations

import contextlib
import json
import statistics
import sys
import time
from dataclasses import dataclass
from typing import Annotated, Any

import httpx
import typer
from benchmarks.serving.run import run_server

CYCLE = ("Hello! How are you?", "Draw a cat.", "What is this?", "Make it blue.")
"""A text answer, an image, a question about it, and an edit."""
EARLY_TURN = 10
NEIGHBOURS = 3
"""Cycles whose median is taken."""
PROCESSOR_SECONDS = "process_cpu_seconds_total"


@dataclass(frozen=True)
class Turn:
    """One turn."""

    seconds: float
    processor_s: float
    """Processor time of the server's process; that of the processes that decode media is not in it."""
    truncated_turns: int


def main(
    turns: Annotated[int, typer.Option(min=24, help="Turns of the conversation.")] = 100,
    url: Annotated[str | None, typer.Option(help="Server. Default: start one.")] = None,
    model: Annotated[str, typer.Option(help="Model of the server.")] = "nano",
    key: Annotated[str, typer.Option(help="API key.")] = "none",
) -> None:
    """Print the latency of early and of late turns, and their ratio. Ends with an error if a turn fails."""
    headers = {"Authorization": f"Bearer {key}"}
    with (
        run_server(model) if url is None else contextlib.nullcontext(url) as address,
        httpx.Client(base_url=address, headers=headers, timeout=600, trust_env=False) as http,
    ):
        run_conversation(http, model, len(CYCLE))  # warm-up
        sys.stdout.write(json.dumps(summarize(run_conversation(http, model, turns))) + "\n")


def run_conversation(http: httpx.Client, model: str, turns: int) -> list[Turn]:
    """Run a conversation; raises if a turn is not answered."""
    messages: list[dict[str, Any]] = []
    results = []
    for number in range(turns):
        messages.append({"role": "user", "content": CYCLE[number % len(CYCLE)]})
        body = {"model": model, "messages": messages, "seed": 0, "nextgpt": {"media": "url"}}
        processor_start_s, start = _processor_seconds(http), time.perf_counter()
        response = http.post("/v1/chat/completions", json=body)
        seconds = time.perf_counter() - start
        processor_s = _processor_seconds(http) - processor_start_s
        if response.status_code != 200:
            raise RuntimeError(f"turn {number + 1} got {response.status_code}: {response.text[:200]}")
        answer = response.json()
        messages.append({"role": "assistant", "content": None, "parts": answer["choices"][0]["message"]["parts"]})
        results.append(Turn(seconds, processor_s, (answer.get("nextgpt") or {}).get("truncated_turns", 0)))
    return results


def _processor_seconds(http: httpx.Client) -> float:
    """Return the processor time that the server's process has used."""
    lines = http.get("/metrics").raise_for_status().text.splitlines()
    return float(next(line.split()[1] for line in lines if line.startswith(f"{PROCESSOR_SECONDS} ")))


def summarize(turns: list[Turn]) -> dict[str, object]:
    """Return the figures of a conversation; times are those of one turn."""
    kinds = len(CYCLE)
    cycles = [turns[start : start + kinds] for start in range(0, len(turns) - kinds + 1, kinds)]
    first = EARLY_TURN // kinds - NEIGHBOURS // 2
    early, late = cycles[first : first + NEIGHBOURS], cycles[-NEIGHBOURS:]
    figures: dict[str, object] = {"turns": len(turns)}
    for name, field in (("", "seconds"), ("processor_", "processor_s")):
        early_s, late_s = (
            statistics.median(sum(getattr(turn, field) for turn in cycle) / kinds for cycle in group)
            for group in (early, late)
        )
        figures |= {
            f"{name}around_turn_{EARLY_TURN}_s": round(early_s, 4),
            f"{name}around_turn_{len(turns)}_s": round(late_s, 4),
            f"{name}ratio": round(late_s / early_s, 2),
        }
    return figures | {
        "median_s": round(statistics.median(turn.seconds for turn in turns), 4),
        "slowest_s": round(max(turn.seconds for turn in turns), 4),
        "truncated_turns": turns[-1].truncated_turns,
    }


if __name__ == "__main__":
    typer.run(main)
