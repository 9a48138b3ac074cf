"""The long conversation of the benchmark: compared cycles have the same kinds of turns."""

from __future__ import annotations

import json

import httpx
import pytest
from benchmarks.serving.turns import CYCLE, Turn, run_conversation, summarize


def test_cycles_are_compared_kind_by_kind() -> None:
    turns = [Turn(2.0 if number >= 88 else 1.0, 3.0 if number >= 88 else 1.0, number) for number in range(100)]
    figures = summarize(turns)
    assert (figures["around_turn_10_s"], figures["around_turn_100_s"], figures["ratio"]) == (1.0, 2.0, 2.0)
    assert figures["processor_ratio"] == 3.0 and figures["truncated_turns"] == 99
    assert summarize(turns[:91])["ratio"] == 1.0, "an unfinished cycle does not count"


def test_a_single_slow_cycle_does_not_count() -> None:
    turns = [Turn(9.0 if 8 <= number < 12 or 92 <= number < 96 else 1.0, 1.0, 0) for number in range(100)]
    assert summarize(turns)["ratio"] == 1.0


def test_each_turn_sends_the_whole_conversation() -> None:
    seen: list[list[dict]] = []

    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/metrics":
            return httpx.Response(200, text=f"# HELP\nprocess_cpu_seconds_total {len(seen) * 0.5}\nother 1.0\n")
        seen.append(json.loads(request.content)["messages"])
        parts = [{"type": "text", "text": str(len(seen))}]
        extra = {"truncated_turns": 3} if len(seen) == 5 else {}
        return httpx.Response(200, json={"choices": [{"message": {"parts": parts}}], "nextgpt": extra})

    with httpx.Client(base_url="http://none", transport=httpx.MockTransport(answer)) as http:
        turns = run_conversation(http, "nano", 5)
    assert [len(messages) for messages in seen] == [1, 3, 5, 7, 9]
    assert seen[4][0]["content"] == seen[4][8]["content"] == CYCLE[0]
    assert seen[4][7]["parts"] == [{"type": "text", "text": "4"}]
    assert [turn.processor_s for turn in turns] == [0.5] * 5
    assert [turn.truncated_turns for turn in turns] == [0, 0, 0, 0, 3]


def test_a_failed_turn_is_an_error() -> None:
    def refuse(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/metrics":
            return httpx.Response(200, text="process_cpu_seconds_total 1.0")
        return httpx.Response(400, text="too long")

    transport = httpx.MockTransport(refuse)
    client = httpx.Client(base_url="http://none", transport=transport)
    with client as http, pytest.raises(RuntimeError, match="turn 1 got 400: too long"):
        run_conversation(http, "nano", 4)
