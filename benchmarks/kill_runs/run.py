"""``python -m benchmarks.kill_runs.run``: ``kill -9`` of trainings, cache builds, packing and servers.

After every kill what stands on disk under its final name must be whole, and the work that was continued must end as
work that was left alone. Prints one JSON object; the exit status is 1 after a violation.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer
from benchmarks.kill_runs.processes import Report, run_to_end, start
from benchmarks.kill_runs.servers import kill_servers
from benchmarks.kill_runs.work import (
    build,
    check_cache,
    check_pack,
    check_training,
    digest_cache,
    digest_pack,
    digest_training,
    pack,
    run_training,
    write_corpus,
)

from nextgpt.testing.model import write_tiny_model

START_S = 0.02


def main(
    trainings: Annotated[int, typer.Option(min=0, help="Kills of trainings.")] = 30,
    caches: Annotated[int, typer.Option(min=0, help="Kills of cache builds.")] = 25,
    packs: Annotated[int, typer.Option(min=0, help="Kills of data pack.")] = 25,
    servers: Annotated[int, typer.Option(min=0, help="Kills of servers.")] = 20,
    seed: int = 0,
) -> None:
    """Kill and continue; print the counts."""
    random.seed(seed)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_corpus(folder)
        write_tiny_model(folder / "tiny")
        report = {
            "trainings": kill_repeatedly(trainings, folder, "training", run_training, check_training, digest_training),
            "caches": kill_repeatedly(caches, folder, "cache", build, check_cache, digest_cache),
            "packs": kill_repeatedly(packs, folder, "pack", pack, check_pack, digest_pack),
            "servers": kill_servers(servers, folder),
        }
    rows = {name: part.to_dict() for name, part in report.items()}
    rows["kills"] = sum(part.counts["kills"] for part in report.values())
    sys.stdout.write(json.dumps(rows, indent=1) + "\n")
    raise typer.Exit(int(any(part.violations for part in report.values())))


def kill_repeatedly(
    kills: int,
    folder: Path,
    name: str,
    work: Callable[[Path, Path], None],
    check: Callable[[Path, Report], None],
    result: Callable[[Path], str],
) -> Report:
    """Kill and continue work until there were so many kills; each complete result must equal the undisturbed one."""
    report = Report()
    if not kills:
        return report
    started = time.monotonic()
    run_to_end(lambda: work(folder, folder / f"{name}-whole"))
    longest_s, expected = time.monotonic() - started, result(folder / f"{name}-whole")
    number = 0
    while report.counts["kills"] < kills:
        out = folder / f"{name}-{number}"
        process = start(lambda out=out: work(folder, out))
        process.join(START_S + random.uniform(0, longest_s))
        if process.is_alive():
            os.kill(process.pid, signal.SIGKILL)
            process.join()
            report.counts["kills"] += 1
            check(out, report)
        if process.exitcode == 0 or report.counts["kills"] == kills:
            run_to_end(lambda out=out: work(folder, out))
            report.check(result(out) == expected, f"{out.name} ended differently")
            report.counts["completed"] += 1
            report.counts["last_step"] = report.counts["last_shards"] = 0
            shutil.rmtree(out)
            number += 1
        elif process.exitcode != -signal.SIGKILL:
            report.violations.append(f"{out.name} failed with status {process.exitcode}")
            return report
    return report


if __name__ == "__main__":
    typer.run(main)
