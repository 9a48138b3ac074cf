"""Kill an evaluation with SIGKILL at random moments, continue it, and compare it with an uninterrupted run.

    python -m benchmarks.interrupted_evaluation --kills 10

With --stand-in the model is replaced by noise that depends on the seed, so that the run needs no weights; the folder of
the run, the batches, the systems truth and shuffled and the metrics are the real ones.
"""

from __future__ import annotations

import json
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Annotated

import typer

from nextgpt.evaluate.run_folder import RECORDS_FILE, SCORES_FILE
from nextgpt.miniworld.export import export_miniworld

SUITE, METRICS = "coco-t2i", ("modality",)


def child(data: Path, out: Path, stand_in: bool) -> None:
    """Run the evaluation once."""
    from nextgpt.evaluate import standard

    if stand_in:
        from tests.evaluate.stand_ins import StandIn, create

        standard.create_system = create(StandIn(delay_s=0.2))
    standard.BATCH_SIZE = 4
    print("started", flush=True)
    standard.run_standard(SUITE, standard.StandardOptions("nano", out, data, metrics=METRICS))


def main(
    kills: Annotated[int, typer.Option(min=1)] = 10,
    items: Annotated[int, typer.Option(min=4, help="Items of the run.")] = 40,
    max_wait_s: Annotated[float, typer.Option(help="Longest time from the start of a run to its kill.")] = 2.0,
    seed: int = 0,
    stand_in: Annotated[bool, typer.Option("--stand-in")] = False,
) -> None:
    """Print the number of records at each kill, and whether the results are equal."""
    random.seed(seed)
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "data"
        export_miniworld(data, count=items)

        def start(name: str) -> subprocess.Popen[str]:
            arguments = [str(data), str(Path(folder) / name), *(["--stand-in"] if stand_in else [])]
            command = [sys.executable, "-m", "benchmarks.interrupted_evaluation", "--child", *arguments]
            return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)

        for kill in range(kills):
            run = start("killed")
            assert run.stdout is not None and run.stdout.readline() == "started\n", "the run did not start"
            wait_s = random.uniform(0, max_wait_s)
            time.sleep(wait_s)
            is_running = run.poll() is None
            run.kill()
            run.wait()
            state = "killed" if is_running else "was finished"
            print(
                f"{kill + 1}: {state} after {wait_s:.2f} s, {_count_lines(Path(folder) / 'killed')} records", flush=True
            )
        for name in ("killed", "whole"):
            assert start(name).wait() == 0, f"the run {name} failed"
        killed, whole = (_content(Path(folder) / name) for name in ("killed", "whole"))
        different = sorted(name for name in killed.keys() | whole.keys() if killed.get(name) != whole.get(name))
        print(f"files compared: {len(whole)}; different: {', '.join(different) or 'none'}")
        raise typer.Exit(bool(different))


def _count_lines(run: Path) -> int:
    return sum(path.read_bytes().count(b"\n") for path in run.glob(f"*/{RECORDS_FILE}"))


def _content(run: Path) -> dict[str, object]:
    """Return media and scores, and the records without their wall-clock times, by path."""
    files: dict[str, object] = {
        path.relative_to(run).as_posix(): path.read_bytes() for path in run.glob("*/media/**/*.*")
    }
    for path in run.glob(f"*/{RECORDS_FILE}"):
        records = [json.loads(line) | {"seconds": 0} for line in path.read_text().split("\n") if line]
        files[path.relative_to(run).as_posix()] = records
    return files | {SCORES_FILE: json.loads((run / SCORES_FILE).read_text())}


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        child(Path(sys.argv[2]), Path(sys.argv[3]), "--stand-in" in sys.argv)
    else:
        typer.run(main)
