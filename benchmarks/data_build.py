"""Robustness of data building: ``kill -9`` at random moments, and an endpoint that fails in every way.

``python -m benchmarks.data_build kill`` compares a build that is killed again and again with one that is not; with
``--during media`` it is killed while media are synthesized.
``python -m benchmarks.data_build hostile`` builds from an endpoint with faults of every kind, under a budget.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import random
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import uvicorn

from nextgpt.testing.llm_endpoint import Faults, Traffic, create_app

RECIPE = Path(__file__).parents[1] / "recipes" / "data" / "mosit-mock.yaml"
COMPARED = ("*.jsonl", "export/**/*", "media/**/*")
"""Files that must be equal: stages, exports and media."""


@contextmanager
def serve(faults: Faults, delay_s: float) -> Iterator[tuple[str, Traffic]]:
    """Serve the mock endpoint from a thread; yield its URL and what it received."""
    app = create_app(faults, delay_s=delay_s)
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=0, log_level="critical"))
    threading.Thread(target=lambda: asyncio.run(server.serve()), daemon=True).start()
    while not server.started:
        time.sleep(0.01)
    yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}/v1", app.state.traffic
    server.should_exit = server.force_exit = True


def command(work: Path, url: str, settings: list[str]) -> list[str]:
    """Return the command of a build."""
    base = [
        "-m",
        "nextgpt",
        "data",
        "build",
        str(RECIPE),
        f"work={work}",
        f"llm.urls=[{url}]",
        "llm.max_wait_s=0.1",
        "llm.concurrency=2",
    ]
    return [sys.executable, *base, *settings, "--json"]


def run(arguments: list[str]) -> dict:
    """Run a build to its end and return its summary."""
    finished = subprocess.run(arguments, capture_output=True, text=True)
    if finished.returncode:
        raise SystemExit(f"The build failed: {finished.stderr}")
    return json.loads(finished.stdout)


def digest(work: Path) -> dict[str, str]:
    """Return a hash of every compared file."""
    files = sorted({path for pattern in COMPARED for path in work.glob(pattern) if path.is_file()})
    return {str(path.relative_to(work)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def kill(folder: Path, kills: int, seed: int, delay_s: float, settings: list[str], during: str) -> dict:
    """Kill a build at random moments, finish it, and compare it with a build that was left alone."""
    rng = random.Random(seed)
    with serve(Faults(), delay_s) as (url, _):
        start = time.perf_counter()
        needed = run(command(folder / "alone", url, settings))["requests"]
        duration_s = time.perf_counter() - start
    moments: list[str] = []
    with serve(Faults(), delay_s) as (url, traffic):
        arguments = command(folder / "killed", url, settings)
        if during == "media":
            run([*arguments, "--until", "check"])
        while len(moments) < kills:
            process = subprocess.Popen(arguments, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            if during == "media":
                moment = wait_for_media(process, folder, rng, kills - len(moments))
            else:
                moment = wait_for_requests(process, traffic, rng, needed, duration_s)
                time.sleep(rng.uniform(0, delay_s))
            if process.poll() is None:
                process.kill()
                process.wait()
                moments.append(moment)
                print(f"killed: {moments[-1]}", file=sys.stderr, flush=True)
            elif during == "media":
                raise SystemExit(f"The build ended after {len(moments)} kills; expected {kills}. Set more dialogues.")
            else:
                duration_s *= 0.8  # it ended by itself: kill earlier
        summary = run(arguments)
        alone, killed = digest(folder / "alone"), digest(folder / "killed")
        again = traffic.received
        run(arguments)
        return {
            "kills": moments,
            "requests_needed": summary["requests"],
            "complete_answers_sent": sum(traffic.answers.values()),
            "answers_sent_twice": traffic.repeated,
            "attempts_in_flight_at_a_kill": summary["lost_attempts"],
            "files_compared": len(alone),
            "files_that_differ": sorted(n for n in alone.keys() | killed.keys() if alone.get(n) != killed.get(n)),
            "requests_of_another_run": traffic.received - again,
        }


def wait_for_requests(
    process: subprocess.Popen, traffic: Traffic, rng: random.Random, needed: int, duration_s: float
) -> str:
    """Wait for a moment while requests are in flight, or in a later stage if all are answered."""
    by_time = traffic.received >= needed
    if by_time:
        deadline, requests = time.perf_counter() + rng.uniform(0.2, 1.0) * duration_s, 10**9
    else:
        deadline, requests = float("inf"), traffic.received + rng.randint(1, 8)
    while process.poll() is None and time.perf_counter() < deadline and traffic.received < requests:
        time.sleep(0.01)
    return f"{'time' if by_time else 'requests'}: {traffic.received} received"


def wait_for_media(process: subprocess.Popen, folder: Path, rng: random.Random, kills_left: int) -> str:
    """Wait until a random number of further media are finished, and then for a part of the next batch."""
    total, done = num_media(folder / "alone"), num_media(folder / "killed")
    wanted = done + rng.randint(1, max(1, 2 * (total - done) // (kills_left + 1)))
    while process.poll() is None and num_media(folder / "killed") < wanted:
        time.sleep(0.01)
    time.sleep(rng.uniform(0, 1))
    return f"media: {num_media(folder / 'killed')} of {total} finished"


def num_media(work: Path) -> int:
    """Return the number of finished media of a build."""
    return sum(1 for _ in work.glob("media/*/[!.]*.json"))


def hostile(folder: Path, budget: float, settings: list[str]) -> dict:
    """Build from an endpoint with every fault, first under a small budget, then without one."""
    faults = Faults(
        too_many=0.4, failure=0.2, cut=0.2, stall=0.05, stall_s=3, huge=0.05, nonsense=0.1, invalid_json=0.2, wrong=0.2
    )
    with serve(faults, 0.0) as (url, traffic):
        arguments = command(folder / "hostile", url, ["llm.tries=40", "llm.timeout_s=1", *settings])
        limited = run([*arguments, "--budget", str(budget)])
        finished = run([*arguments, "--budget", "1000"])
        received = traffic.received
        again = run([*arguments, "--budget", "1000"])
        keys = ("planned", "kept", "left_out", "requests", "price", "lost_attempts", "lost_price")
        return {
            "budget": budget,
            "under_budget": {key: limited[key] for key in keys},
            "spent_under_budget": round(limited["price"] + limited["lost_price"], 6),
            "finished": {key: finished[key] for key in keys},
            "another_run_is_equal": again["kept"] == finished["kept"] and again["requests"] == finished["requests"],
            "requests_of_another_run": traffic.received - received,
            "responses": dict(traffic.statuses),
            "answers_that_came_too_late": traffic.repeated,
        }


def main() -> None:
    """Run one of the two and print its counts as JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("attack", choices=("kill", "hostile"))
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--during", choices=("requests", "media"), default="requests", help="For kill.")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--delay", type=float, default=0.5, help="Seconds before each answer, for kill.")
    parser.add_argument("--budget", type=float, default=0.1, help="For hostile.")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="Settings of the recipe.")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if options.attack == "kill":
            result = kill(folder, options.kills, options.seed, options.delay, options.set, options.during)
        else:
            result = hostile(folder, options.budget, options.set)
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
