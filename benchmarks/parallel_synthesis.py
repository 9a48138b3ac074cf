"""Batch size up to which synthesizing two modalities in parallel, on a share of the cores each, is faster.

    python benchmarks/parallel_synthesis.py [--model nano] [--threads 2] [--runs 3] [--json]

The image and video synthesizers of a model make the same media in parallel and one after the other, in growing numbers.
Seconds are the fewest of all runs by the wall clock, so the machine must be idle. The result is
``PARALLEL_MAX_MACS`` of ``nextgpt.model.synthesis.batching``.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass

import torch

from nextgpt.logging import silence_libraries
from nextgpt.model.nextgpt import NextGPT
from nextgpt.model.synthesis import batching
from nextgpt.model.synthesis.batching import SynthesisRequest, synthesize_batch

MODALITIES = ("image", "video")
COUNTS = (1, 2, 4, 8, 16, 32)
NEVER, ALWAYS = 0.0, float("inf")


@dataclass(frozen=True)
class Measurement:
    """Seconds for one number of media per modality."""

    count: int
    step_gmacs: float
    """Multiply-accumulates per step of the larger modality, all media together, in units of 10^9."""
    serial_s: float
    parallel_s: float

    @property
    def ratio(self) -> float:
        """Return the parallel time relative to the serial time."""
        return self.parallel_s / self.serial_s


@torch.inference_mode()
def measure(model: NextGPT, threads: int, runs: int, counts: tuple[int, ...] = COUNTS) -> Iterator[Measurement]:
    """Synthesize media both ways, alternately."""
    synthesizers = {name: model.synthesizer(name) for name in MODALITIES}
    for count in counts:
        requests = [
            SynthesisRequest((row, place), name, torch.randn(*synthesizers[name].condition_shape), seed=row)
            for row in range(count)
            for place, name in enumerate(MODALITIES)
        ]
        seconds: dict[float, list[float]] = {ALWAYS: [], NEVER: []}
        for _ in range(runs):
            for limit, timings in seconds.items():
                timings.append(_synthesis_s(requests, synthesizers, threads, limit))
        macs = max(count * synthesizer.macs_per_step for synthesizer in synthesizers.values())
        yield Measurement(count, macs / 1e9, min(seconds[NEVER]), min(seconds[ALWAYS]))


def _synthesis_s(requests: list[SynthesisRequest], synthesizers: dict, threads: int, limit: float) -> float:
    default, batching.PARALLEL_MAX_MACS = batching.PARALLEL_MAX_MACS, limit
    start = time.perf_counter()
    for _ in synthesize_batch(requests, synthesizers.__getitem__, threads=threads):
        pass
    batching.PARALLEL_MAX_MACS = default
    return time.perf_counter() - start


def to_markdown(rows: list[Measurement]) -> str:
    """Format the measurements as a Markdown table."""
    lines = ["| media of each | a step, GMAC | serial, s | parallel, s | ratio |", "| ---: " * 5 + "|"]
    lines += [
        f"| {row.count} | {row.step_gmacs:.2f} | {row.serial_s:.3f} | {row.parallel_s:.3f} | {row.ratio:.2f} |"
        for row in rows
    ]
    return "\n".join(lines)


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="nano")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), help="torch threads, for both")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    silence_libraries()
    torch.set_num_threads(args.threads)
    torch.set_flush_denormal(True)
    rows = list(measure(NextGPT.from_pretrained(args.model), args.threads, args.runs))
    print(json.dumps([asdict(row) for row in rows]) if args.json else to_markdown(rows))


if __name__ == "__main__":
    main()
