"""Kill an evaluation with SIGKILL at random moments, continue it, and compare it with an uninterrupted run.

    python -m benchmarks.interrupted_evaluation --kills 10

Moments are drawn from the duration of the uninterrupted run, from its first line on, so kills fall into the loading of
the model, the answers, the features and the metrics. A run that finishes before its moment makes room for a new one.

With --stand-in the model is replaced by noise that depends on the seed, and the extractor by means of colors, so that
the run needs no weights; the folder of the run, the batches, the systems truth and shuffled, the store of features and
the metrics are the real ones.
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

from nextgpt.evaluate.standard.run_folder import FEATURES_DIR, RECORDS_FILE, RESULTS_DIR, SCORES_FILE
from nextgpt.miniworld.export import export_miniworld

SUITE, METRICS = "coco-t2i", ("fid", "kid", "clip_score", "modality")


def child(data: Path, out: Path, stand_in: bool) -> None:
    """Run the evaluation once."""
    from nextgpt.evaluate.standard import run_suite

    if stand_in:
        from tests.evaluate.stand_ins import MeanColors, StandIn, create, extractors

        run_suite.create_system = create(StandIn(delay_s=0.2))
        run_suite.find_extractors = lambda names, model: extractors(MeanColors())
    run_suite.BATCH_SIZE = 4
    print("started", flush=True)
    run_suite.run_standard(SUITE, run_suite.StandardOptions("nano", out, data, metrics=METRICS))


def main(
    kills: Annotated[int, typer.Option(min=1)] = 10,
    items: Annotated[int, typer.Option(min=4, help="Items of the run.")] = 40,
    seed: int = 0,
    stand_in: Annotated[bool, typer.Option("--stand-in")] = False,
) -> None:
    """Print what was on disk at each kill, and whether the results are equal."""
    random.seed(seed)
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "data"
        export_miniworld(data, count=items)

        def start(name: str) -> subprocess.Popen[str]:
            arguments = [str(data), str(Path(folder) / name), *(["--stand-in"] if stand_in else [])]
            command = [sys.executable, "-m", "benchmarks.interrupted_evaluation", "--child", *arguments]
            run = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
            assert run.stdout is not None and run.stdout.readline() == "started\n", "the run did not start"
            return run

        def finish(name: str) -> float:
            run, begin = start(name), time.monotonic()
            assert run.wait() == 0, f"the run {name} failed"
            return time.monotonic() - begin

        duration_s = finish("whole")
        print(f"whole run: {duration_s:.1f} s; {_state(Path(folder) / 'whole')}", flush=True)
        done, name = 0, "killed-1"
        while done < kills:
            run, wait_s = start(name), random.uniform(0, duration_s)
            time.sleep(wait_s)
            is_running = run.poll() is None
            run.kill()
            run.wait()
            if not is_running:
                name = f"killed-{int(name.partition('-')[2]) + 1}"
                continue
            done += 1
            print(f"{done}: {name} after {wait_s:.1f} s; {_state(Path(folder) / name)}", flush=True)
        whole, is_different = _content(Path(folder) / "whole"), False
        for path in sorted(Path(folder).glob("killed-*")):
            finish(path.name)
            killed = _content(path)
            different = sorted(key for key in killed.keys() | whole.keys() if killed.get(key) != whole.get(key))
            print(f"{path.name}: {len(whole)} files compared; different: {', '.join(different) or 'none'}", flush=True)
            is_different |= bool(different)
        raise typer.Exit(is_different)


def _state(run: Path) -> str:
    """Return what is on disk: records of complete batches and others, files of features, values, the scores."""
    records = sum(path.read_bytes().count(b"\n") for path in run.glob(f"*/{RECORDS_FILE}"))
    features, values = len(list(run.glob(f"{FEATURES_DIR}/*/*.npz"))), len(list(run.glob(f"{RESULTS_DIR}/*.json")))
    scores = "scores" if (run / SCORES_FILE).is_file() else "no scores"
    return f"{records} records, {features} files of features, {values} values, {scores}"


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
