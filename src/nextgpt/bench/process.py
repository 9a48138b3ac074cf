"""Measurements that need a fresh process: cold start and peak memory.

``python -m nextgpt.bench.process SYSTEM MEASUREMENT FOLDER`` does the work and prints one line of JSON.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Literal

System = Literal["candidate", "baseline"]
Measurement = Literal["cold_start", "peak_memory"]
MIB = 2**20


def cold_start_s(system: System, model_dir: Path) -> float:
    """Measure from the start of a process to the first text of its first answer."""
    start = time.perf_counter()
    _run(system, "cold_start", model_dir)
    return time.perf_counter() - start


def peak_memory_mib(system: System, model_dir: Path) -> float:
    """Measure the peak memory of a process that encodes and synthesizes every modality once."""
    return _run(system, "peak_memory", model_dir)["peak_bytes"] / MIB


def _run(system: System, measurement: Measurement, model_dir: Path) -> dict[str, Any]:
    """Wait for the output line of a fresh process, not for its exit, which does not count."""
    command = [sys.executable, "-m", "nextgpt.bench.process", system, measurement, str(model_dir)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and process.stderr is not None
        line = process.stdout.readline()
        process.terminate()
        if not line:
            raise RuntimeError(f"{' '.join(command)} exited without output: {process.stderr.read()[-2000:]}")
    return json.loads(line)


def _create_system(system: System, model_dir: Path) -> Any:
    if system == "candidate":
        from nextgpt.bench.candidate import Candidate
        from nextgpt.malloc import disable_malloc_trim

        disable_malloc_trim()  # as the nextgpt command does
        return Candidate(model_dir)
    from nextgpt.bench.baseline import Baseline

    return Baseline(model_dir)


def _work(system: System, measurement: Measurement, model_dir: Path) -> None:
    instance = _create_system(system, model_dir)
    instance.first_token_s()
    if measurement == "peak_memory":
        for modality in ("image", "audio", "video"):
            instance.prefill(modality)
            instance.medium_s(modality)


def main() -> None:
    """Run the measurement that the arguments name and print its result."""
    system, measurement, model_dir = sys.argv[1:]
    _work(system, measurement, Path(model_dir))  # type: ignore[arg-type]
    peak_bytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(json.dumps({"peak_bytes": peak_bytes}), flush=True)


if __name__ == "__main__":
    main()
