"""What can be measured only in a fresh process: how long a cold start takes, and how much memory is needed at most.

``python -m nextgpt.bench.process WHO WHAT FOLDER`` does the work, and says so in a line of JSON.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Literal

System = Literal["ours", "reference"]
Measurement = Literal["cold_start", "peak_memory"]
MIB = 2**20


def cold_start_s(who: System, home: Path) -> float:
    """From the start of a process to the first words of its first answer."""
    start = time.perf_counter()
    _run(who, "cold_start", home)
    return time.perf_counter() - start


def peak_memory_mib(who: System, home: Path) -> float:
    """The most memory that a process holds which hears every modality once and makes every modality once."""
    return _run(who, "peak_memory", home)["peak_bytes"] / MIB


def _run(who: System, what: Measurement, home: Path) -> dict[str, Any]:
    """Wait for the line of a fresh process, not for its end: what it does after its answer does not count."""
    command = [sys.executable, "-m", "nextgpt.bench.process", who, what, str(home)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and process.stderr is not None
        line = process.stdout.readline()
        process.terminate()
        if not line:
            raise RuntimeError(
                f"{' '.join(command)} ended without an answer: {process.stderr.read()[-2000:]}"
            )
    return json.loads(line)


def _create_system(who: System, home: Path) -> Any:
    if who == "ours":
        from nextgpt.bench.candidate import Candidate
        from nextgpt.malloc import disable_malloc_trim

        disable_malloc_trim()  # as the command does
        return Candidate(home)
    from nextgpt.bench.baseline import Baseline

    return Baseline(home)


def _work(who: System, what: Measurement, home: Path) -> None:
    contestant = _create_system(who, home)
    contestant.first_token_s()
    if what == "peak_memory":
        for modality in ("image", "audio", "video"):
            contestant.hear(modality)
            contestant.medium_s(modality)


def main() -> None:
    """Do the work that the arguments name, and say what it took."""
    who, what, home = sys.argv[1:]
    _work(who, what, Path(home))  # type: ignore[arg-type]
    peak_bytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(json.dumps({"peak_bytes": peak_bytes}), flush=True)


if __name__ == "__main__":
    main()
