"""The run of hostile inputs repeats by seed, and finds what it looks for."""

from __future__ import annotations

import json
from collections import Counter

from benchmarks.hostile_inputs.files import MUTATIONS, hostile_file, valid_files
from benchmarks.hostile_inputs.http_requests import ROUTES, hostile_request
from benchmarks.hostile_inputs.run import Outcomes, _read, unlogged


def test_inputs_are_a_function_of_their_seed_and_reach_everything() -> None:
    files = [hostile_file(seed) for seed in range(400)]
    assert [hostile_file(seed) for seed in range(400)] == files
    assert {file.mutation for file in files} == set(MUTATIONS)
    assert {file.origin for file in files} == set(valid_files())
    requests = [hostile_request(seed) for seed in range(300)]
    assert [hostile_request(seed) for seed in range(300)] == requests
    assert {request.route for request in requests} == {*ROUTES, "/v1/files"}
    assert all(json.loads(request.content) for request in requests if request.mutation.endswith("values"))


def test_readers_read_or_refuse() -> None:
    outcomes = Counter(outcome for outcome, _, _, is_fault in map(_read, range(60)) if not is_fault)
    assert sum(outcomes.values()) == 60
    assert outcomes["read"] and outcomes["refused"]


def test_slow_answers_and_failures_without_a_traceback_are_faults() -> None:
    outcomes = Outcomes(max_seconds=5.0)
    outcomes.add("200", 4.0, "a")
    outcomes.add("200", 6.0, "b")
    outcomes.add("500", 1.0, "c", is_fault=True)
    assert outcomes.to_dict()["num_faults"] == 2
    log = "request req-1 failed\nTraceback (most recent call last)\n  ...\nKeyError\nrequest req-2 failed\n"
    assert unlogged(["req-1", "req-2", "req-3"], log) == ["req-2", "req-3"]
